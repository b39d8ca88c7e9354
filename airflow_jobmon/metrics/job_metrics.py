"""One job's metrics for dashboards, as JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.times import iso
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings


def job_metrics(
    conn: psycopg.Connection[Any], settings: Settings, job_name: str, *, days: int, now: datetime
) -> dict[str, Any]:
    """The metrics as JSON-native values; health is evaluated now and not recorded.

    Raises UnknownJob for a name that is neither registered nor in the log.
    """
    queries = load_queries("job_metrics")
    health = next(iter(assess_jobs(conn, settings, [job_name])), None)  # none: disabled in the registry
    given = {"job_name": job_name, "since": now - timedelta(days=days), "until": now}
    with conn.cursor(row_factory=dict_row) as cursor:
        *daily, whole = cursor.execute(queries["window"], given).fetchall()
        durations = cursor.execute(queries["durations"], given).fetchone() or {}
    return {
        "job_name": job_name,
        "window_days": days,
        "generated_at": iso(now),
        "health": health.as_json() if health else None,
        "summary": _summary(whole, durations),
        "daily": [{"date": counted.pop("day").isoformat(), **counted} for counted in daily],
        "recent_runs": _runs(conn, queries["recent_runs"], given),
        "recent_failures": _runs(conn, queries["recent_failures"], given),
    }


def _summary(whole: dict[str, Any], durations: dict[str, Any]) -> dict[str, Any]:
    counted = {name: value for name, value in whole.items() if name not in {"day", "records_updated"}}
    return {**counted, **durations, "total_records_updated": whole["records_updated"] or 0}


def _runs(conn: psycopg.Connection[Any], query: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return [run.as_json() for run in cursor.execute(query, given)]
