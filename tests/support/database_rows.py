"""Reads the alerts, and counts rows."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def alert_events(conn: Connection[Any]) -> list[tuple[str, str]]:
    """Kind and event of every alert, in the order in which they were created."""
    return conn.execute("SELECT kind, event FROM airflow_jobmon.alerts ORDER BY id").fetchall()


def alert_events_by_job(conn: Connection[Any]) -> list[tuple[str, str, str]]:
    """Job, kind and event of every alert, in the order in which they were created."""
    return conn.execute("SELECT job_name, kind, event FROM airflow_jobmon.alerts ORDER BY id").fetchall()


def count_rows(conn: Connection[Any], table: str = "public.jobs_log") -> int:
    """Rows of a table, or of `table WHERE ...`."""
    return conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
