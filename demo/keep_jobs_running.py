"""Runs the sample's jobs on schedule while the demo stays up, so that they are not all missed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import psycopg

from airflow_jobmon.postgres.registry import list_jobs
from demo import sample

PAUSE = 5.0
"""Seconds between checks for due jobs."""


def keep_jobs_running(conn: sample.Connection, stop: threading.Event) -> None:
    """Run each registered job when it is expected, until `stop`."""
    while not stop.wait(PAUSE):
        try:
            for entry in list_jobs(conn):
                last = sample.last_started(conn, entry.job.name)
                if last is not None and entry.job.expected_after(last) <= datetime.now(UTC):
                    _run(conn, entry.job.name)
        except psycopg.OperationalError:
            return


def _run(conn: sample.Connection, name: str) -> None:
    if name in sample.PROCEDURES:
        sample.run_job(conn, name)
    else:
        sample.log_success(conn, name)
