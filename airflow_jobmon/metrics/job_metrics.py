"""One job's metrics for dashboards, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.times import iso
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings

_COUNTED = (
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
    """The metrics as JSON-native values; health is evaluated now and not recorded.

    Raises UnknownJob for a name that is neither registered nor in the log.
    """
    queries = load_queries("job_metrics")
    health = next(iter(assess_jobs(conn, settings, [job_name])), None)  # none: disabled in the registry
    given = {"job_name": job_name, "since": now - timedelta(days=days), "until": now}
    *daily, (_, *whole) = conn.execute(queries["window"], given).fetchall()
    p50, p95 = conn.execute(queries["durations"], given).fetchone() or (None, None)
    return {
        "job_name": job_name,
        "window_days": days,
        "generated_at": iso(now),
        "health": health.as_json() if health else None,
        "summary": _summary(dict(zip(_COUNTED, whole, strict=True)), p50, p95),
        "daily": [{"date": day.isoformat(), **dict(zip(_COUNTED, counted, strict=True))} for day, *counted in daily],
        "recent_runs": [_run(row) for row in conn.execute(queries["recent_runs"], given)],
        "recent_failures": [_run(row) for row in conn.execute(queries["recent_failures"], given)],
    }


def _summary(whole: dict[str, Any], p50: float | None, p95: float | None) -> dict[str, Any]:
    records = whole.pop("records_updated")
    return {
        **whole,
        "p50_duration_seconds": p50,
        "p95_duration_seconds": p95,
        "total_records_updated": records or 0,
    }


def _run(row: Sequence[Any]) -> dict[str, Any]:
    run_id, name, started_at, completed_at, status, records, error = row
    return Run(run_id, name, started_at, completed_at, status, records, error).as_json()
