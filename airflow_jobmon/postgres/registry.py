"""The registry: which jobs are expected to run, and which source registered each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, namedtuple_row
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs.diff import JobChange, compare_jobs
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, job_by_defaults, read_job
from airflow_jobmon.errors import ConfigurationError, UnknownJob
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class RegisteredJob:
    """One entry. source: what registered it, like `dag:jobmon_hourly_health_check/check` or `file:jobs.yaml`.

    config: the fields that were set, as they are stored. problem: why this host cannot read them; `job` then has the
    defaults, by which this host evaluates it, too. health, next_due_at: as stored; None before the first evaluation.
    """

    job: MonitoredJob
    source: str
    registered_at: datetime
    config: Mapping[str, Any]
    problem: str | None = None
    health: str | None = None
    next_due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppliedJobs:
    """What applying changed, or in a dry run would change, by name; `removed` only with prune."""

    jobs: tuple[JobChange, ...]

    @property
    def added(self) -> tuple[str, ...]:
        return self._names("added")

    @property
    def changed(self) -> tuple[str, ...]:
        return self._names("changed")

    @property
    def unchanged(self) -> tuple[str, ...]:
        return self._names("unchanged")

    @property
    def removed(self) -> tuple[str, ...]:
        return self._names("removed")

    def _names(self, change: str) -> tuple[str, ...]:
        return tuple(job.job_name for job in self.jobs if job.change == change)


def list_jobs(conn: Connection[Any], *, source: str | None = None) -> list[RegisteredJob]:
    """All entries, or those of one source, by name. `job` lacks fields that only a newer package knows."""
    with conn.cursor(row_factory=class_row(_Entry)) as cursor:
        return [_registered(row) for row in cursor.execute(load_queries("registry")["list"], {"source": source})]


def is_registered(conn: Connection[Any], name: str) -> bool:
    row = conn.execute(load_queries("registry")["is_registered"], {"name": name}).fetchone()
    return bool(row and row[0])


def stored_job(config: dict[str, Any]) -> MonitoredJob:
    """The MonitoredJob that `config` stores."""
    return read_stored_job(json.dumps(config, sort_keys=True))


@lru_cache(maxsize=20_000)
def read_stored_job(config: str) -> MonitoredJob:
    """`stored_job` of JSON. Kept per content, since ten thousand are read at every check."""
    fields = json.loads(config)
    return read_job({key: fields[key] for key in fields if key in MonitoredJob.model_fields})


def apply_jobs(
    conn: Connection[Any],
    jobs: Iterable[MonitoredJob],
    *,
    source: str,
    prune: bool = False,
    may_take_from: Callable[[str], bool] = lambda _: False,
    dry_run: bool = False,
) -> AppliedJobs:
    """Register these jobs under `source`, all or none; with `prune`, remove its other jobs.

    may_take_from: whether a job of this other source may be taken over. A job keeps its `registered_at`.
    dry_run: only return what would change; needs no permission to write.

    Raises ConfigurationError where a name is given twice, or belongs to another source: taking it over silently would
    let two files overwrite each other forever.
    """
    queries = load_queries("registry")
    # An unset field stays unset, so that a default that improves later applies to it.
    wanted = {job.name: job.model_dump(mode="json", exclude_unset=True) for job in _each_once(jobs)}
    with conn.transaction(), conn.cursor(row_factory=namedtuple_row) as cursor:
        if not dry_run:
            cursor.execute(queries["lock"])
        rows: list[Any] = cursor.execute(queries["held"], {"names": list(wanted), "source": source}).fetchall()
        held = {row.name: (row.source, row.config) for row in rows}
        _refuse_foreign({name: held[name][0] for name in wanted if name in held}, source, may_take_from)
        applied = AppliedJobs(compare_jobs(held, wanted, source=source, prune=prune))
        if not dry_run:
            written = [*applied.added, *applied.changed]
            if written:
                configs = [Jsonb(wanted[name]) for name in written]
                cursor.execute(queries["register"], {"names": written, "configs": configs, "source": source})
            if applied.removed:
                cursor.execute(queries["remove"], {"names": list(applied.removed)})
            _evaluate_soon(conn, [*written, *applied.removed])
    return applied


def remove_jobs(conn: Connection[Any], names: Sequence[str] = (), *, source: str | None = None) -> list[RegisteredJob]:
    """Remove these jobs, or all of a source, from the registry; returns their entries.

    Raises UnknownJob, and nothing is removed, for a name that is not registered.
    """
    queries = load_queries("registry")
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(queries["lock"])
        entries = {entry.job.name: entry for entry in list_jobs(conn)}
        for name in names:
            if name not in entries:
                raise UnknownJob(f"job {name[:100]!r} is not registered{_near(name, entries)}")
        going = [entry for name, entry in entries.items() if name in names or entry.source == source]
        if going:
            gone = [entry.job.name for entry in going]
            cursor.execute(queries["remove"], {"names": gone})
            _evaluate_soon(conn, gone)
    return going


def known_channels(conn: Connection[Any]) -> tuple[set[str], set[str]]:
    """The known channels, and those of them that are notifiers of a DAG and have no connection."""
    rows = conn.execute(load_queries("registry")["channels"]).fetchall()
    return {name for name, _ in rows}, {name for name, is_notifier in rows if is_notifier}


def _evaluate_soon(conn: Connection[Any], names: list[str]) -> None:
    """Make these jobs due for evaluation: their entries changed, so their stored health is out of date."""
    if names:
        queries = load_queries("registry")
        conn.execute(queries["evaluate_soon"], {"names": names})
        conn.execute(queries["wake_watchers"])


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    source: str
    config: dict[str, Any]
    registered_at: datetime
    health: str | None
    next_due_at: datetime | None


def _registered(entry: _Entry) -> RegisteredJob:
    try:
        job, problem = stored_job(entry.config), None
    except ConfigurationError as error:  # stored by another host or version, such as a zone unknown here
        job, problem = job_by_defaults(entry.name), str(error)
    return RegisteredJob(job, entry.source, entry.registered_at, entry.config, problem, entry.health, entry.next_due_at)


def _each_once(jobs: Iterable[MonitoredJob]) -> list[MonitoredJob]:
    listed = list(jobs)
    for name, count in Counter(job.name for job in listed).items():
        if count > 1:
            raise ConfigurationError(f"job {name[:100]!r} is listed {count} times; keep one")
    return listed


def _refuse_foreign(holders: Mapping[str, str], source: str, may_take_from: Callable[[str], bool]) -> None:
    foreign = {
        name: holder for name, holder in sorted(holders.items()) if holder != source and not may_take_from(holder)
    }
    if not foreign:
        return
    name, holder = next(iter(foreign.items()))
    more = f" (and {len(foreign) - 1} more of its jobs)" if len(foreign) > 1 else ""
    take = (
        "give --take-over"
        if source.startswith("file:")
        else "run `airflow jobmon jobs remove` with its name, and the next run of this task registers it"
    )
    raise ConfigurationError(
        f"job {name[:100]!r}{more} is registered by {holder}, so {source} cannot register it too; remove it from one "
        f"of them. To move it here, remove it from {holder}, then {take}"
    )


def _near(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0][:100]!r}?" if near else "; see the names with: airflow jobmon jobs list"
