"""Runs in public.jobs_log, as a job would log them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

_COLUMNS = "job_name, status, started_at, completed_at, records_updated, error_message"


def log_run(
    conn: Connection[Any],
    job_name: str,
    status: str = "success",
    started_at: datetime | None = None,
    completed_at: datetime | None = None,
    *,
    seconds: float = 10,
    records_updated: int | None = None,
    error_message: str | None = None,
) -> str:
    """Insert one run and return its id, as text.

    It started `seconds` ago unless `started_at` says otherwise, and took `seconds` unless `completed_at` does; a
    running one has no end.
    """
    started = started_at or datetime.now(UTC) - timedelta(seconds=seconds)
    if completed_at is None and status != "running":
        completed_at = started + timedelta(seconds=seconds)
    row = conn.execute(
        f"INSERT INTO public.jobs_log ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id::text",
        (job_name, status, started, completed_at, records_updated, error_message),
    ).fetchone()
    assert row is not None
    return str(row[0])


def finish_run(
    conn: Connection[Any], run_id: str, status: str = "success", *, error_message: str | None = None
) -> None:
    """End a running run now."""
    conn.execute(
        "UPDATE public.jobs_log SET status = %s, completed_at = clock_timestamp(), error_message = %s"
        " WHERE id::text = %s",
        (status, error_message, run_id),
    )


def install_now(conn: Connection[Any]) -> None:
    """As if the first migration had found the log as it is at this moment."""
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = clock_timestamp(), jobs_noted = false")
    conn.execute("SELECT airflow_jobmon.note_jobs()")
    conn.execute(
        "UPDATE airflow_jobmon.job_state SET first_seen_at = installed_at FROM airflow_jobmon.installation"
        " WHERE first_seen_at < installed_at"
    )
