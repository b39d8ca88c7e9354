"""Named queries: one file of sql/queries/ a subject, `-- name: x` before each statement, psycopg placeholders in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

_NAME = re.compile(r"^--\s*name:\s*(\w+)\s*$", re.MULTILINE)


def sql_directory() -> Traversable:
    return files("airflow_jobmon") / "sql"


@cache
def load_queries(subject: str, *, folder: str = "queries") -> Mapping[str, str]:
    """The statements of sql/<folder>/<subject>.sql by name, with the comments that explain them."""
    text = (sql_directory() / folder / f"{subject}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    queries: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in queries:
            raise ValueError(f"sql/{folder}/{subject}.sql names {name!r} twice; rename one")
        queries[name] = body.strip().removesuffix(";")
    return MappingProxyType(queries)
