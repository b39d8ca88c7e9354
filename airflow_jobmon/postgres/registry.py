"""The registry: which jobs we expect to run, and who said so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs import MonitoredJob, read_job
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class RegisteredJob:
    """One entry; `source` is who registered it, like `dag:jobmon_hourly_health_check` or `file:jobs.yaml`."""

    job: MonitoredJob
    source: str
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class AppliedJobs:
    """What applying changed, as job names in order; `removed` only with prune."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def list_jobs(conn: Connection[Any]) -> list[RegisteredJob]:
    """All entries, by name. Fields that a newer package stored and this one does not know are left out."""
    with conn.cursor() as cursor:
        rows = cursor.execute(load_queries("registry")["list"]).fetchall()
    return [RegisteredJob(stored_job(config), source, at) for _, source, config, at in rows]


def stored_job(config: dict[str, Any]) -> MonitoredJob:
    """The MonitoredJob that `config` stores. Kept per content, since ten thousand are read at every check."""
    return _stored_job(json.dumps(config, sort_keys=True))


@lru_cache(maxsize=20_000)
def _stored_job(config: str) -> MonitoredJob:
    fields = json.loads(config)
    return read_job({key: fields[key] for key in fields if key in MonitoredJob.model_fields})


def apply_jobs(conn: Connection[Any], jobs: Iterable[MonitoredJob], *, source: str, prune: bool = False) -> AppliedJobs:
    """Register these jobs as coming from `source`, all or nothing; with `prune`, drop its others.

    Raises ConfigurationError when a name is given twice or is held by another source: silently taking it over would
    make two files overwrite each other for ever.
    """
    queries = load_queries("registry")
    # What was left unset stays unset, so that a default improved later reaches it.
    wanted = {job.name: job.model_dump(mode="json", exclude_unset=True) for job in _each_once(jobs)}
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(queries["lock"])
        rows = cursor.execute(queries["held"], {"names": list(wanted), "source": source}).fetchall()
        _refuse_foreign({name: held_by for name, held_by, _ in rows if name in wanted}, source)
        held = {name: config for name, held_by, config in rows if held_by == source}

        added = sorted(wanted.keys() - held.keys())
        changed = sorted(name for name in wanted.keys() & held.keys() if wanted[name] != held[name])
        removed = sorted(held.keys() - wanted.keys()) if prune else []
        written = added + changed
        if written:
            configs = [Jsonb(wanted[name]) for name in written]
            cursor.execute(queries["register"], {"names": written, "configs": configs, "source": source})
        if removed:
            cursor.execute(queries["remove"], {"names": removed})
        if written or removed:
            cursor.execute(queries["judge_soon"], {"names": written + removed})
            cursor.execute(queries["wake_watchers"])
    unchanged = sorted(wanted.keys() - set(written))
    return AppliedJobs(tuple(added), tuple(changed), tuple(unchanged), tuple(removed))


def _each_once(jobs: Iterable[MonitoredJob]) -> list[MonitoredJob]:
    listed = list(jobs)
    for name, count in Counter(job.name for job in listed).items():
        if count > 1:
            raise ConfigurationError(f"job {name[:100]!r} is listed {count} times; keep one")
    return listed


def _refuse_foreign(holders: dict[str, str], source: str) -> None:
    foreign = {name: holder for name, holder in sorted(holders.items()) if holder != source}
    if foreign:
        name, holder = next(iter(foreign.items()))
        more = f" (and {len(foreign) - 1} more of its jobs)" if len(foreign) > 1 else ""
        raise ConfigurationError(
            f"job {name[:100]!r}{more} is registered by {holder}, so {source} cannot register it too; "
            f"take it out of one of them (out of a file by `airflow jobmon jobs apply FILE --prune`)"
        )
