"""Incidents, alerts and deliveries, as people ask for them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from airflow_jobmon.postgres.incident_history import shown
from airflow_jobmon.postgres.queries import load_queries


def list_alerts(conn: Connection[Any], *, job: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Newest first, a row per alert and channel."""
    return _rows(conn, "alerts", {"job": job, "state": state, "limit": limit})


def list_incidents(conn: Connection[Any], *, job: str | None, resolved: bool, limit: int) -> list[dict[str, Any]]:
    """Newest first, each with its state; `resolved` adds those that are over."""
    rows = _rows(conn, "incidents", {"job": job, "all": resolved, "limit": limit})
    return [shown(row) for row in rows]


def retry_dead(conn: Connection[Any], *, job: str | None) -> int:
    """Put dead deliveries back to pending, due now, and wake the watchers; how many."""
    queries = load_queries("alert_log")
    with conn.transaction(), conn.cursor() as cursor:
        row = cursor.execute(queries["retry_dead"], {"job": job}).fetchone()
        alert_ids, channels = row or ([], [])
        if alert_ids:
            cursor.execute(queries["retry_resolutions"], {"alert_ids": alert_ids, "channels": channels})
            cursor.execute(queries["forgive_channels"], {"channels": channels})
            cursor.execute(queries["wake_watchers"])
    return len(alert_ids)


def _rows(conn: Connection[Any], query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(load_queries("alert_log")[query], parameters).fetchall()
