"""The registry as a file that `jobs apply` reads back to the same entries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from airflow_jobmon.cli.output import printable
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import RegisteredJob

HEAD = "# yaml-language-server: $schema=jobs.schema.json"
"""For editors, the first line of such a file."""

_WIDE = 1_000_000
"""No line is broken: a name that YAML may fold is hard to find in an editor."""


def registry_as_yaml(entries: Sequence[RegisteredJob], source: str | None = None) -> str:
    """Every entry with the fields that were set on it, under comments that say who registered which.

    With a `source` the file says that it is it, so that applying it is applying the file it came from.
    """
    lines = [HEAD, *_head(source)]
    if not entries:
        return "\n".join([*lines, "jobs: []", ""])
    lines.append("jobs:")
    for holder, held in groupby(sorted(entries, key=lambda entry: entry.source), key=lambda entry: entry.source):
        lines += ["", f"  # registered by {printable(holder)}"]
        for entry in held:
            if entry.problem:
                lines.append(f"  # cannot be read here: {printable(entry.problem)}")
            lines += [f"  {line}" for line in as_yaml([_fields(entry)]).splitlines()]
    return "\n".join([*lines, ""])


def registry_as_json(entries: Sequence[RegisteredJob], source: str | None = None) -> dict[str, Any]:
    """The same for JSON, which is YAML too."""
    said = {} if source is None else {"source": source}
    return {**said, "jobs": [_fields(entry) for entry in entries]}


def as_yaml(value: Any) -> str:
    """As a person would write it, in the order given, a line to a field."""
    import yaml  # noqa: PLC0415

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDE))


def _head(source: str | None) -> list[str]:
    return [] if source is None else as_yaml({"source": source}).splitlines()


def _fields(entry: RegisteredJob) -> dict[str, Any]:
    """In the model's order, which jsonb does not keep."""
    known = [field for field in MonitoredJob.model_fields if field in entry.config]
    return {field: entry.config[field] for field in (*known, *sorted(entry.config.keys() - set(known)))}
