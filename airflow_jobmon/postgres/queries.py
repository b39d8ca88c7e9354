"""Named queries: a file of sql/queries/ for each subject, with `-- name: x` before each statement.

A line `-- include: x` stands for the text of sql/fragments/x.sql, which several queries share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

_INCLUDE = re.compile(r"^--\s*include:\s*(\w+)\s*$", re.MULTILINE)
_NAME = re.compile(r"^--\s*name:\s*(\w+)\s*$", re.MULTILINE)


def sql_directory() -> Traversable:
    return files("airflow_jobmon") / "sql"


@cache
def load_queries(subject: str, *, folder: str = "queries") -> Mapping[str, str]:
    """The statements of sql/<folder>/<subject>.sql by name, with the comments that explain them."""
    parts = _NAME.split(_INCLUDE.sub(lambda line: _fragment(line[1]), _text(folder, subject)))
    queries: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in queries:
            raise ValueError(f"sql/{folder}/{subject}.sql names {name!r} twice; rename one")
        queries[name] = body.strip().removesuffix(";")
    return MappingProxyType(queries)


def _fragment(name: str) -> str:
    return _text("fragments", name).strip()


def _text(folder: str, name: str) -> str:
    return (sql_directory() / folder / f"{name}.sql").read_text(encoding="utf-8")
