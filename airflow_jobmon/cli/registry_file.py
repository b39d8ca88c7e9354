"""The YAML file that `jobs apply` reads: a list of MonitoredJob's fields under `jobs:`."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from airflow_jobmon.core.jobs import MonitoredJob, read_job
from airflow_jobmon.errors import ConfigurationError

SHOWN = 5
"""Mistakes told at once; more of them have one cause as a rule."""


def read_registry_file(path: Path, *, may_be_empty: bool = False) -> list[MonitoredJob]:
    """The jobs of a file; none only where it `may_be_empty`.

    Raises ConfigurationError with the place and every mistake (the first few, if many).
    """
    content = _load(path)
    if not isinstance(content, dict) or "jobs" not in content:
        near = get_close_matches("jobs", [str(key) for key in content], n=1) if isinstance(content, dict) else []
        hint = f"; did you mean that by {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"{path}: there is no list under `jobs:`{hint} (see `airflow jobmon jobs apply --help`)"
        )
    if unknown := [str(key) for key in content if key != "jobs"]:
        raise ConfigurationError(f"{path}: unknown key {unknown[0][:60]!r}; only `jobs:` belongs at the top")
    entries = content["jobs"]
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


def _refuse_repeated(jobs: list[MonitoredJob], path: Path) -> None:
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


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        star = "; put a schedule that starts with * in quotes" if error.context == "while scanning an alias" else ""
        raise ConfigurationError(f"{path}{place}: malformed YAML: {error.problem or error.context}{star}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: malformed YAML: {str(error).splitlines()[0]}") from None


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
