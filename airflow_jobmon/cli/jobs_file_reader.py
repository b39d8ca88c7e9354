"""Reads the YAML file of `jobs apply`: a list of jobs under `jobs:`, and optionally a `source:`."""

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

_MAX_ERRORS_SHOWN = 5
"""More errors than this usually have one cause."""

STDIN = "-"

_KEYS = ("source", "jobs")


@dataclass(frozen=True, slots=True)
class JobsFile:
    """The jobs of a file and their source: `file:` and the file's `source:`, or else the file's base name.

    `source` is None for standard input without `source:`, which needs --source. Two files of the same base name need a
    `source:` each.
    """

    jobs: list[MonitoredJob]
    source: str | None


def read_jobs_file(path: str, *, may_be_empty: bool = False) -> JobsFile:
    """Read the file at `path`, or standard input for `-`; a file without jobs is an error unless it `may_be_empty`.

    Raises ConfigurationError with the place and every error (the first few, if there are many).
    """
    shown = "standard input" if path == STDIN else path
    content = _load(path, shown)
    if not isinstance(content, dict) or "jobs" not in content:
        near = get_close_matches("jobs", [str(key) for key in content], n=1) if isinstance(content, dict) else []
        hint = f"; {near[0]!r} was found, is it a typo?" if near else ""
        raise ConfigurationError(
            f"{shown}: there is no list under `jobs:`{hint} (see `airflow jobmon jobs apply --help`)"
        )
    if unknown := [str(key) for key in content if key not in _KEYS]:
        raise ConfigurationError(
            f"{shown}: unknown key {unknown[0][:60]!r}; only `jobs:` and `source:` are allowed at the top level"
        )
    return JobsFile(_read_jobs(content["jobs"], shown, may_be_empty=may_be_empty), _source(content, path, shown))


def file_source(name: Any, *, given_by: str) -> str:
    """The source of this name, which may start with `file:`. Raises ConfigurationError if the name is not valid."""
    bare = name.removeprefix("file:") if isinstance(name, str) else ""
    if not bare.isprintable() or bare != bare.strip() or not 0 < len(bare) <= 200 or bare.startswith("dag:"):
        why = "; only the task of a DAG registers its jobs" if bare.startswith("dag:") else ""
        raise ConfigurationError(
            f"{given_by} {name!r:.60} is not a valid source name{why}; write a short one, like billing or etl/jobs.yaml"
        )
    return f"file:{bare}"


def _source(content: dict[Any, Any], path: str, shown: str) -> str | None:
    if "source" in content:
        return file_source(content["source"], given_by=f"{shown}: source:")
    return None if path == STDIN else file_source(Path(path).name, given_by=f"{shown}: its name")


def _read_jobs(entries: Any, path: str, *, may_be_empty: bool) -> list[MonitoredJob]:
    if not isinstance(entries, list) or (not entries and not may_be_empty):
        raise ConfigurationError(
            f"{path}: `jobs:` is not a list of jobs; write each job as an entry that starts with `- name:`"
        )
    jobs: list[MonitoredJob] = []
    errors: list[str] = []
    for number, entry in enumerate(entries, start=1):
        try:
            jobs.append(read_job(_named(entry, number)))
        except ConfigurationError as error:
            errors.append(str(error))
    if errors:
        hidden = len(errors) - _MAX_ERRORS_SHOWN
        more = f"; and {hidden} more jobs with errors" if hidden > 0 else ""
        raise ConfigurationError(f"{path}: {'; '.join(errors[:_MAX_ERRORS_SHOWN])}{more}")
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
        raise ConfigurationError(
            f"entry {number} of `jobs:` is {entry!r:.60}, which is not a job; start it with `- name:`"
        )
    if "name" not in entry:
        near = get_close_matches("name", [str(key) for key in entry], n=1)
        hint = f"; {near[0]!r} was found, is it a typo?" if near else ""
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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # YAML raises ValueError for a date of month 13
        raise ConfigurationError(f"{shown}: malformed YAML or JSON: {str(error).splitlines()[0]}") from None


def _parse(text: str) -> Any:
    r"""Try JSON first: YAML reads most of it, but neither a float like 5e-3 nor an emoji written as \ud83d\ude80."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_refuse_duplicate_keys)
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{key[:60]!r} is given twice in one object; keep one")
    return dict(pairs)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a duplicate key in a mapping: YAML would keep the last, and so drop a job whose dash is missing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"{key.value[:60]!r} is given twice here; is a dash missing?"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
