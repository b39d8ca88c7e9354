"""Incidents, alerts and deliveries, as the command line lists them, and a new attempt at dead deliveries."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from airflow_jobmon.postgres.incident_history import with_state
from airflow_jobmon.postgres.queries import load_queries


def list_alerts(conn: Connection[Any], *, job: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Alerts, newest first, one row per alert and channel."""
    return _rows(conn, "alerts", {"job": job, "state": state, "limit": limit})


def list_incidents(conn: Connection[Any], *, job: str | None, resolved: bool, limit: int) -> list[dict[str, Any]]:
    """Incidents, newest first, each with its state; with `resolved`, resolved ones too."""
    rows = _rows(conn, "incidents", {"job": job, "all": resolved, "limit": limit})
    return [with_state(row) for row in rows]


def retry_dead(conn: Connection[Any], *, job: str | None) -> int:
    """Make dead deliveries pending again, due now, and wake the watchers; returns how many."""
    queries = load_queries("alert_log")
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        retried = cursor.execute(queries["retry_dead"], {"job": job}).fetchall()
        given = {"alert_ids": [row["alert_id"] for row in retried], "channels": [row["channel"] for row in retried]}
        if retried:
            cursor.execute(queries["retry_resolutions"], given)
            cursor.execute(queries["reset_channels"], given)
            cursor.execute(queries["wake_watchers"])
    return len(retried)


def _rows(conn: Connection[Any], query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(load_queries("alert_log")[query], parameters).fetchall()
