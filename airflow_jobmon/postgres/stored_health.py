"""The stored health of jobs, for readers that do not evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from airflow_jobmon.core.model.health import Health, worst
from airflow_jobmon.core.times import iso, parse_moment
from airflow_jobmon.errors import JobNotEvaluated
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """A health report, from what was stored.

    report: its checked_at is the time of the check. stale: no check ran for two hours, so the health is unknown.
    complete: the health of every job is known, apart from jobs that were registered within two hours.
    """

    report: dict[str, Any]
    stale: bool
    complete: bool

    @property
    def status(self) -> Health:
        return Health(self.report["status"])


def why_not_evaluated(conn: Connection[Any], job_name: str) -> JobNotEvaluated:
    """Why a known job has no stored health."""
    row = conn.execute(load_queries("stored_health")["disabled"], {"job_name": job_name}).fetchone()
    disabled = row is not None and row[0]
    if disabled:
        return JobNotEvaluated(f"job {job_name[:100]!r} is registered with enabled: false, so it is not evaluated")
    return JobNotEvaluated(
        f"job {job_name[:100]!r} has not been evaluated yet: a watcher evaluates it within a minute of its first run, "
        "a POST at once; with [jobmon] unregistered_jobs = ignore, an unregistered job is never evaluated"
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    job_name: str
    health: str
    verdict: dict[str, Any]
    fresh: bool
    awaited: bool
    checked_at: datetime | None


def stored_health(conn: Connection[Any], job_name: str | None = None, *, now: datetime | None = None) -> StoredHealth:
    """The health of every watched job, worst first, or of one (no job where that name was never evaluated)."""
    at = now or datetime.now(UTC)
    with conn.cursor(row_factory=class_row(_Stored)) as cursor:
        rows = cursor.execute(load_queries("stored_health")["stored_health"], {"job_name": job_name}).fetchall()
    jobs = [_job(row, at) for row in rows]
    jobs.sort(key=lambda job: (-Health(job["status"]).rank, job["job_name"]))
    report = {
        "status": worst([Health(job["status"]) for job in jobs]).value,
        # Where no check ever ran, this is found now.
        "checked_at": iso(next((row.checked_at for row in rows if row.checked_at), at)),
        "jobs": jobs,
    }
    stale = not any(row.fresh for row in rows)
    return StoredHealth(report, stale, complete=not stale and all(row.fresh or row.awaited for row in rows))


def _job(row: _Stored, at: datetime) -> dict[str, Any]:
    """The stored entry, with the hours since the last run as of now."""
    started = (row.verdict.get("last_run") or {}).get("started_at")
    hours = round((at - parse_moment(started)).total_seconds() / 3600, 1) if started else None
    empty: dict[str, Any] = {
        "last_run": None,
        "next_due_at": None,
        "consecutive_failures": 0,
        "success_rate": None,
        "findings": [],
    }
    return {
        **empty,
        **row.verdict,
        "job_name": row.job_name,
        "status": row.health if row.fresh else "unknown",
        "hours_since_last_run": None if hours is None else max(hours, 0.0),
    }
