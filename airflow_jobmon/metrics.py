"""One job's figures for dashboards: gathered once for the API and the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from airflow_jobmon.core.runs import Run
from airflow_jobmon.core.times import iso
from airflow_jobmon.judging import assess_jobs
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings

_SUMMARY = (
    "total_runs",
    "successful_runs",
    "failed_runs",
    "success_rate",
    "avg_duration_seconds",
    "p50_duration_seconds",
    "p95_duration_seconds",
    "max_duration_seconds",
    "total_records_updated",
)
_DAY = (
    "date",
    "total_runs",
    "successful_runs",
    "failed_runs",
    "success_rate",
    "avg_duration_seconds",
    "max_duration_seconds",
    "records_updated",
)


def job_metrics(
    conn: psycopg.Connection[Any], settings: Settings, job_name: str, *, days: int, now: datetime
) -> dict[str, Any]:
    """The metrics shape, JSON-native; health is judged now and recorded nowhere.

    Raises UnknownJob for a name that neither the registry nor the log knows.
    """
    queries = load_queries("web")
    health = next(iter(assess_jobs(conn, settings, [job_name])), None)  # none: disabled in the registry
    since = now - timedelta(days=days)
    given = {"job_name": job_name, "since": since, "until": now, "first_day": since.date()}
    summary = conn.execute(queries["summary"], given).fetchone() or ()
    return {
        "job_name": job_name,
        "window_days": days,
        "generated_at": iso(now),
        "health": health.as_json() if health else None,
        "summary": dict(zip(_SUMMARY, summary, strict=True)),
        "daily": [
            {**dict(zip(_DAY, row, strict=True)), "date": row[0].isoformat()}
            for row in conn.execute(queries["daily"], given)
        ],
        "recent_runs": [_run(row) for row in conn.execute(queries["recent_runs"], given)],
        "recent_failures": [_run(row) for row in conn.execute(queries["recent_failures"], given)],
    }


def _run(row: Sequence[Any]) -> dict[str, Any]:
    run_id, name, started_at, completed_at, status, records, error = row
    return Run(run_id, name, started_at, completed_at, status, records, error).as_json()
