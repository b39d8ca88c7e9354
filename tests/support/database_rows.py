"""Adds and reads alerts, and counts rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository


def add_alert(conn: Connection[Any], job_name: str, *channels: str, event: AlertEvent = AlertEvent.OPENED) -> None:
    """Add an alert that is due on these channels."""
    alert = Alert(event, "failed", job_name, Health.CRITICAL, datetime.now(UTC), "it failed")
    with conn.transaction():
        IncidentRepository(conn).insert_alerts([AddressedAlert(alert, None, channels)])


def alert_events(conn: Connection[Any]) -> list[tuple[str, str]]:
    """Kind and event of every alert, in the order in which they were created."""
    return conn.execute("SELECT kind, event FROM airflow_jobmon.alerts ORDER BY id").fetchall()


def alert_events_by_job(conn: Connection[Any]) -> list[tuple[str, str, str]]:
    """Job, kind and event of every alert, in the order in which they were created."""
    return conn.execute("SELECT job_name, kind, event FROM airflow_jobmon.alerts ORDER BY id").fetchall()


def row_count(conn: Connection[Any], table: str = "public.jobs_log") -> int:
    """Rows of a table, or of `table WHERE ...`."""
    return conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
