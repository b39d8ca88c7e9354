"""Simulates days on a real log: jobs log their runs as planned, and the watcher's own functions evaluate them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.settings import Settings

STEP = timedelta(hours=3)
"""How often the log is looked at; each run is logged at its own moment all the same."""

_LOG = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, error_message)
SELECT name, at, CASE WHEN status <> 'running' THEN at + interval '20 seconds' END, status,
    CASE WHEN status = 'failed' THEN 'disk full' END
FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) AS run (name, at, status)
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that a job will log."""

    at: datetime
    name: str
    status: str = "success"


def every(name: str, first: datetime, step: timedelta, until: datetime, status: str = "success") -> Iterator[Planned]:
    """A run each `step` from `first` on, the last before `until`."""
    at = first
    while at < until:
        yield Planned(at, name, status)
        at += step


def log_runs(conn: Connection[Any], runs: Iterable[Planned]) -> None:
    listed = list(runs)
    conn.execute(_LOG, [[run.name for run in listed], [run.at for run in listed], [run.status for run in listed]])


def pass_days(
    conn: Connection[Any], settings: Settings, begin: datetime, end: datetime, runs: Iterable[Planned]
) -> None:
    """Let that time pass: runs are logged, events evaluated, jobs swept; every 6 hours all jobs are checked."""
    conn.prepare_threshold = 2  # as a watcher's
    left = sorted(runs, key=lambda run: run.at)
    now = begin
    while now < end:
        now = min(now + STEP, end)
        due = [run for run in left if run.at <= now]
        left = left[len(due) :]
        if due:
            log_runs(conn, due)
        while evaluate_events(conn, settings, now=now).events:
            pass
        evaluate_changed(conn, settings, now=now)
        if (now - begin) % (2 * STEP) < STEP:
            evaluate_jobs(conn, settings, now=now)
