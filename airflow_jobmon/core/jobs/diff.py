"""The changes that applying a list of jobs makes to the registry, by job and field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob

_OF_THE_SETTINGS = {"channels", "realert_interval"}
"""If these are not set, the settings apply."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field's effective values: its default where it is not set. Values are JSON types."""

    field: str
    old: Any
    new: Any
    old_is_default: bool
    new_is_default: bool

    def shown(self) -> tuple[str, str]:
        """Old and new as text, `1h (default)` and `30m`."""
        return _shown(self.field, self.old, self.old_is_default), _shown(self.field, self.new, self.new_is_default)

    def as_json(self) -> dict[str, Any]:
        return {
            "field": self.field,
            "old": self.old,
            "new": self.new,
            "old_is_default": self.old_is_default,
            "new_is_default": self.new_is_default,
        }


@dataclass(frozen=True, slots=True)
class JobChange:
    """change: added, changed, unchanged or removed. fields: those that differ, or all that a new job sets."""

    job_name: str
    change: str
    fields: tuple[FieldChange, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "job_name": self.job_name,
            "change": self.change,
            "fields": [field.as_json() for field in self.fields],
        }


def compare_jobs(
    held: Mapping[str, tuple[str, Mapping[str, Any]]],
    wanted: Mapping[str, Mapping[str, Any]],
    *,
    source: str,
    prune: bool,
) -> tuple[JobChange, ...]:
    """The changes, sorted by name, that registering `wanted` for `source` makes.

    held: by name, the source and the stored fields of the entries with a wanted name, and of all other entries of
    `source`. Fields are those that were set, as JSON: a default that was not set stays a default.
    """
    changes = []
    for name in sorted(held.keys() | wanted.keys()):
        if name not in wanted:
            if prune:
                changes.append(JobChange(name, "removed"))
        elif name not in held:
            changes.append(JobChange(name, "added", _fields({}, wanted[name])))
        else:
            holder, stored = held[name]
            moved = () if holder == source else (FieldChange("source", holder, source, False, False),)
            fields = moved + _fields(stored, wanted[name])
            changes.append(JobChange(name, "changed" if fields else "unchanged", fields))
    return tuple(changes)


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """In the model's order; fields that only another version knows come last."""
    known = list(MonitoredJob.model_fields)
    unknown = sorted((old.keys() | new.keys()) - set(known))
    return tuple(
        FieldChange(field, _effective(old, field), _effective(new, field), field not in old, field not in new)
        for field in known + unknown
        if field != "name" and (field in old, old.get(field)) != (field in new, new.get(field))
    )


def _effective(stored: Mapping[str, Any], field: str) -> Any:
    if field == "every" and stored.get("schedule") is not None:
        return None
    return stored.get(field, _defaults().get(field))


@cache
def _defaults() -> dict[str, Any]:
    return MonitoredJob(name="any").model_dump(mode="json")


def _shown(field: str, value: Any, is_default: bool) -> str:
    if value is None:
        return "(the setting's)" if field in _OF_THE_SETTINGS else ""
    shown = f"[{', '.join(str(item) for item in value)}]" if isinstance(value, list) else _as_written(value)
    return f"{shown} (default)" if is_default else shown


def _as_written(value: Any) -> str:
    """As in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
