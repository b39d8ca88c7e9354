"""The stored verdicts, as those who only read get them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from airflow_jobmon.core.health import Health, worst
from airflow_jobmon.core.times import iso, parse_moment
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """The shape of health, from what was stored. stale: nobody has checked for two hours, so it says nothing."""

    report: dict[str, Any]
    stale: bool

    @property
    def status(self) -> Health:
        return Health(self.report["status"])


def stored_health(conn: Connection[Any], job_name: str | None = None, *, now: datetime | None = None) -> StoredHealth:
    """Every watched job's verdict, worst first, or that of one (no job at all where nobody judged that name)."""
    at = now or datetime.now(UTC)
    rows = conn.execute(load_queries("web")["verdicts"], {"job_name": job_name}).fetchall()
    jobs = [_job(name, health if fresh else "unknown", verdict, at) for name, health, verdict, fresh in rows]
    jobs.sort(key=lambda job: (-Health(job["status"]).rank, job["job_name"]))
    report = {
        "status": worst([Health(job["status"]) for job in jobs]).value,
        "checked_at": iso(at),
        "jobs": jobs,
    }
    return StoredHealth(report, stale=not all(fresh for *_, fresh in rows) or not rows)


def _job(name: str, status: str, verdict: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The stored entry, with what only the clock changes as it is now."""
    started = (verdict.get("last_run") or {}).get("started_at")
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
        **verdict,
        "job_name": name,
        "status": status,
        "hours_since_last_run": None if hours is None else max(hours, 0.0),
    }
