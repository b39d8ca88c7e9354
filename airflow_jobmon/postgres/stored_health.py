"""The stored verdicts, as those who only read get them."""

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
    """The shape of health, from what was stored.

    report: its checked_at is when the verdicts were made. stale: nobody has checked for two hours, so that nothing can
    be told. complete: it can be told of every job, but for those registered within two hours, which may be unknown.
    """

    report: dict[str, Any]
    stale: bool
    complete: bool

    @property
    def status(self) -> Health:
        return Health(self.report["status"])


def unjudged(conn: Connection[Any], job_name: str) -> JobNotEvaluated:
    """Why there is no verdict on a job that is known."""
    row = conn.execute(load_queries("stored_health")["disabled"], {"job_name": job_name}).fetchone()
    if row and row[0]:
        return JobNotEvaluated(f"job {job_name[:100]!r} is registered with enabled: false, so nobody judges it")
    return JobNotEvaluated(
        f"nobody has judged job {job_name[:100]!r} yet: a watcher does within a minute of its first run, POST at once, "
        "and nobody does where [jobmon] unregistered_jobs is ignore"
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
    """Every watched job's verdict, worst first, or that of one (no job at all where nobody judged that name)."""
    at = now or datetime.now(UTC)
    with conn.cursor(row_factory=class_row(_Stored)) as cursor:
        rows = cursor.execute(load_queries("stored_health")["stored_health"], {"job_name": job_name}).fetchall()
    jobs = [_job(row, at) for row in rows]
    jobs.sort(key=lambda job: (-Health(job["status"]).rank, job["job_name"]))
    report = {
        "status": worst([Health(job["status"]) for job in jobs]).value,
        # Where nothing was ever checked, it is now that this is found.
        "checked_at": iso(next((row.checked_at for row in rows if row.checked_at), at)),
        "jobs": jobs,
    }
    stale = not any(row.fresh for row in rows)
    return StoredHealth(report, stale, complete=not stale and all(row.fresh or row.awaited for row in rows))


def _job(row: _Stored, at: datetime) -> dict[str, Any]:
    """The stored entry, with what only the clock changes as it is now."""
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
