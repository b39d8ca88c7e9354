"""The YAML file that `jobs apply` reads: a list of MonitoredJob's fields under `jobs:`, and maybe its `source:`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job
from airflow_jobmon.errors import ConfigurationError

SHOWN = 5
"""Mistakes told at once; more of them have one cause as a rule."""

STDIN = "-"

_KEYS = ("source", "jobs")


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """What a file says. source: who registers these jobs, `file:` and a name; None where that is for `--source` to say.

    A file's own name serves where neither says it, so that most need not; two files of one name do.
    """

    jobs: list[MonitoredJob]
    source: str | None


def read_registry_file(path: str, *, may_be_empty: bool = False) -> RegistryFile:
    """The file at `path`, or standard input where that is `-`; without a job only where it `may_be_empty`.

    Raises ConfigurationError with the place and every mistake (the first few, if many).
    """
    shown = "standard input" if path == STDIN else path
    content = _load(path, shown)
    if not isinstance(content, dict) or "jobs" not in content:
        near = get_close_matches("jobs", [str(key) for key in content], n=1) if isinstance(content, dict) else []
        hint = f"; did you mean that by {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"{shown}: there is no list under `jobs:`{hint} (see `airflow jobmon jobs apply --help`)"
        )
    if unknown := [str(key) for key in content if key not in _KEYS]:
        raise ConfigurationError(
            f"{shown}: unknown key {unknown[0][:60]!r}; only `jobs:` and `source:` belong at the top"
        )
    return RegistryFile(_read_jobs(content["jobs"], shown, may_be_empty=may_be_empty), _source(content, path, shown))


def file_source(name: Any, *, said_by: str) -> str:
    """The source that a name stands for, with or without its `file:`. Raises ConfigurationError for what is no name."""
    bare = name.removeprefix("file:") if isinstance(name, str) else ""
    if not bare.isprintable() or bare != bare.strip() or not 0 < len(bare) <= 200 or bare.startswith("dag:"):
        why = "; jobs of a DAG are registered by its task alone" if bare.startswith("dag:") else ""
        raise ConfigurationError(
            f"{said_by} {name!r:.60} is no name for a source{why}; write a short one, like billing or etl/jobs.yaml"
        )
    return f"file:{bare}"


def _source(content: dict[Any, Any], path: str, shown: str) -> str | None:
    if "source" in content:
        return file_source(content["source"], said_by=f"{shown}: source:")
    return None if path == STDIN else file_source(Path(path).name, said_by=f"{shown}: its name")


def _read_jobs(entries: Any, path: str, *, may_be_empty: bool) -> list[MonitoredJob]:
    if not isinstance(entries, list) or (not entries and not may_be_empty):
        raise ConfigurationError(
            f"{path}: `jobs:` holds no list; write each job as an entry that starts with `- name:`"
        )
    jobs: list[MonitoredJob] = []
    mistakes: list[str] = []
    for number, entry in enumerate(entries, start=1):
        try:
            jobs.append(read_job(_named(entry, number)))
        except ConfigurationError as error:
            mistakes.append(str(error))
    if mistakes:
        more = f"; and {len(mistakes) - SHOWN} more jobs with mistakes" if len(mistakes) > SHOWN else ""
        raise ConfigurationError(f"{path}: {'; '.join(mistakes[:SHOWN])}{more}")
    _refuse_repeated(jobs, path)
    return jobs


def _refuse_repeated(jobs: list[MonitoredJob], path: str) -> None:
    first: dict[str, int] = {}
    for number, job in enumerate(jobs, start=1):
        if first.setdefault(job.name, number) != number:
            raise ConfigurationError(
                f"{path}: job {job.name[:100]!r} is entry {first[job.name]} and entry {number} of `jobs:`; keep one"
            )


def _named(entry: Any, number: int) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"entry {number} of `jobs:` is {entry!r:.60}, not a job; start it with `- name:`")
    if "name" not in entry:
        near = get_close_matches("name", [str(key) for key in entry], n=1)
        hint = f"; did you mean that by {near[0]!r}?" if near else ""
        raise ConfigurationError(f"entry {number} of `jobs:` has no name{hint}")
    return {str(key): value for key, value in entry.items()}


def _load(path: str, shown: str) -> Any:
    try:
        content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        return _parse(content.decode())
    except OSError as error:
        raise ConfigurationError(f"{shown}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        star = "; put a schedule that starts with * in quotes" if error.context == "while scanning an alias" else ""
        raise ConfigurationError(f"{shown}{place}: malformed YAML: {error.problem or error.context}{star}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date of month 13 is a ValueError
        raise ConfigurationError(f"{shown}: malformed YAML or JSON: {str(error).splitlines()[0]}") from None


def _parse(text: str) -> Any:
    r"""JSON first: YAML takes most of it, but not a float like 5e-3, nor an emoji that is written as \ud83d\ude80."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_each_key_once)
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{key[:60]!r} is given twice in one object; keep one")
    return dict(pairs)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key given twice in one mapping: YAML keeps the last, which drops a job whose dash was forgotten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"{key.value[:60]!r} is given twice here; is a dash missing?"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
