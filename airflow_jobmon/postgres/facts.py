"""Reads what the log shows of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from airflow_jobmon.core.health import JobFacts, Window
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import Run
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]


def job_names(conn: Connection) -> list[str]:
    """Every name in the log, sorted as the database sorts."""
    return [name for (name,) in conn.execute(load_queries("facts")["job_names"])]


def known_names(conn: Connection, names: Sequence[str]) -> set[str]:
    """Which of these names the log holds."""
    return {name for (name,) in conn.execute(load_queries("facts")["known_names"], {"names": list(names)})}


def changed_jobs(conn: Connection) -> list[str]:
    """Names whose verdict may have changed since it was stored: new runs, deleted runs, deadlines passed."""
    return [name for (name,) in conn.execute(load_queries("facts")["changed_jobs"])]


def gather(
    conn: Connection,
    jobs: Sequence[tuple[MonitoredJob, bool, datetime]],
    *,
    at: datetime | None = None,
    count_window: bool = True,
) -> list[JobFacts]:
    """Facts of each (job, registered, registered_at or first seen), in one query, in the order given.

    `at` shows the log as it stood then. Without `count_window` the success rate is not counted: its cost grows with
    the history, and an alert must not wait for it.
    """
    rows = conn.execute(
        load_queries("facts")["facts"],
        {
            "names": [job.name for job, _, _ in jobs],
            "window_days": [job.window_days for job, _, _ in jobs],
            "registered": [registered for _, registered, _ in jobs],
            "at": at,
            "count_window": count_window,
        },
    ).fetchall()
    by_name = {row[0]: row for row in rows}
    return [
        replace(
            _facts(by_name[job.name], registered_at),
            window=Window(job.window_days, *by_name[job.name][22:24]) if count_window else None,
        )
        for job, _, registered_at in jobs
    ]


def _facts(row: Sequence[Any], registered_at: datetime) -> JobFacts:
    name = row[0]
    return JobFacts(
        job_name=name,
        registered_at=registered_at,
        newest=_run(name, row[1:7]),
        last_finished=_run(name, row[7:13]),
        last_success=_run(name, row[13:19]),
        failed_in_a_row=row[19],
        failing_since=row[20],
        longest_success=row[21],
        newest_run=row[24],
    )


def _run(name: str, columns: Sequence[Any]) -> Run | None:
    if columns[0] is None:
        return None
    run_id, started_at, completed_at, status, records_updated, error_message = columns
    return Run(run_id, name, started_at, completed_at, status, records_updated, error_message)
