"""Writes the registry as a file that `jobs apply` reads back unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from airflow_jobmon.cli.output import printable
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import RegisteredJob

HEAD = "# yaml-language-server: $schema=jobs.schema.json"
"""The first line of the file, for editors."""

_WIDE = 1_000_000
"""Lines are never folded: a folded name is hard to find in an editor."""


def jobs_as_yaml(entries: Sequence[RegisteredJob], source: str | None = None) -> str:
    """Each entry with the fields that were set, under comments that name its source.

    A given `source` is written as the file's own, so that applying the file updates the entries it came from.
    """
    lines = [HEAD, *_head(source)]
    if not entries:
        return "\n".join([*lines, "jobs: []", ""])
    lines.append("jobs:")
    for registered_by, group in groupby(
        sorted(entries, key=lambda entry: entry.source), key=lambda entry: entry.source
    ):
        lines += ["", f"  # registered by {printable(registered_by)}"]
        for entry in group:
            if entry.problem:
                lines.append(f"  # cannot be read here: {printable(entry.problem)}")
            lines += [f"  {line}" for line in as_yaml([_fields(entry)]).splitlines()]
    return "\n".join([*lines, ""])


def jobs_as_json(entries: Sequence[RegisteredJob], source: str | None = None) -> dict[str, Any]:
    """The same as JSON, which is YAML too."""
    head = {} if source is None else {"source": source}
    return {**head, "jobs": [_fields(entry) for entry in entries]}


def as_yaml(value: Any) -> str:
    """As a person would write it: in the given order, one field per line."""
    import yaml  # noqa: PLC0415

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDE))


def _head(source: str | None) -> list[str]:
    return [] if source is None else as_yaml({"source": source}).splitlines()


def _fields(entry: RegisteredJob) -> dict[str, Any]:
    """In the order of the model, since jsonb does not keep the order of the file."""
    known = [field for field in MonitoredJob.model_fields if field in entry.config]
    return {field: entry.config[field] for field in (*known, *sorted(entry.config.keys() - set(known)))}
