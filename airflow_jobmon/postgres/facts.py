"""Reads what the log shows of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import psycopg

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import JobFacts, Window
from airflow_jobmon.core.model.runs import FAILED, SUCCESS, Run
from airflow_jobmon.core.rules.incident_changes import RECENT
from airflow_jobmon.core.rules.lateness import PassedDeadline
from airflow_jobmon.core.schedule.learned import LearnedSchedule
from airflow_jobmon.core.times import parse_moment
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]

_WINDOW_DAYS = MonitoredJob.model_fields["window_days"].default


def clock(conn: Connection) -> datetime:
    """The time by the database's clock, which all watchers share."""
    row = conn.execute(load_queries("facts")["clock"]).fetchone()
    return datetime.now(UTC) if row is None else row[0]


def job_names(conn: Connection) -> list[str]:
    """Every name in the log, sorted as the database sorts."""
    return [name for (name,) in conn.execute(load_queries("facts")["job_names"])]


def known_names(conn: Connection, names: Sequence[str]) -> set[str]:
    """Which of these names the log holds."""
    return {name for (name,) in conn.execute(load_queries("facts")["known_names"], {"names": list(names)})}


class PendingFacts:
    """Facts that were asked for; the first use waits for them."""

    def __init__(self, asked: psycopg.Cursor[Any], *, windows: bool) -> None:
        self._asked = asked
        self._windows = windows

    @cached_property
    def _rows(self) -> dict[str, Sequence[Any]]:
        return {row[0]: row for row in self._asked.fetchall()}

    @cached_property
    def requested_at(self) -> datetime:
        """When they were asked for, by the database's clock, which all watchers share."""
        return max((row[1] for row in self._rows.values()), default=datetime.now(UTC))

    def of(
        self,
        job: MonitoredJob,
        known_since: datetime,
        scheduled_since: datetime | None = None,
        learned_schedule: LearnedSchedule | None = None,
        window: Window | None = None,
    ) -> JobFacts:
        """Of a job that was registered or first seen at `known_since`, and got its schedule at `scheduled_since`.

        `learned_schedule` was learned before, `window` what was counted before, where it was not counted now.
        """
        row = self._rows[job.name]
        if self._windows:
            window = Window(job.window_days, *row[25:27])
        return _facts(row, known_since, scheduled_since, learned_schedule, window)

    def overlooked(self, job_name: str) -> list[Run]:
        """Recent failed runs that nobody counted, where the stored verdict stood on other runs than there are now."""
        return [
            Run(run_id, job_name, parse_moment(started), completed and parse_moment(completed), FAILED, None, error)
            for run_id, started, completed, error in self._rows[job_name][27] or ()
        ]

    def passed(self, job_name: str) -> PassedDeadline | None:
        """The stored deadline, where it passed before the newest run started."""
        due_at, starts = self._rows[job_name][28:30]
        return PassedDeadline(due_at, tuple(starts)) if starts else None


def request_facts(
    conn: Connection, names: Sequence[str], *, at: datetime | None = None, count_window: bool = True
) -> PendingFacts:
    """Ask for the facts of these jobs, in one query.

    `at` shows the log as it stood then, so with what was archived since. Without `count_window` the success rate is not
    counted: its cost grows with the history, and an alert must not wait for it.
    """
    query = load_queries("facts")["facts"]
    if at is not None:
        query = query.replace("airflow_jobmon.runs", "airflow_jobmon.history")
    given = {
        "names": list(names),
        "at": at,
        "count_window": count_window,
        "window_days": _WINDOW_DAYS,
        "news": RECENT,
    }
    return PendingFacts(conn.execute(query, given), windows=count_window)


def _facts(
    row: Sequence[Any],
    registered_at: datetime,
    scheduled_since: datetime | None,
    learned_schedule: LearnedSchedule | None,
    window: Window | None,
) -> JobFacts:
    name = row[0]
    newest = _run(name, row[2:8])
    last_finished = newest if row[8] else _run(name, row[9:15])
    succeeded = last_finished is not None and last_finished.status == SUCCESS
    return JobFacts(
        job_name=name,
        registered_at=registered_at,
        scheduled_since=scheduled_since,
        learned_schedule=learned_schedule,
        newest=newest,
        last_finished=last_finished,
        last_success=last_finished if succeeded else _run(name, row[15:21]),
        failed_in_a_row=row[21],
        failing_since=row[22],
        longest_success=row[23],
        window=window,
        came_at=next((start for start in row[29] or () if start > row[28]), None),
        newest_run=row[24],
    )


def _run(name: str, columns: Sequence[Any]) -> Run | None:
    if columns[0] is None:
        return None
    run_id, started_at, completed_at, status, records_updated, error_message = columns
    return Run(run_id, name, started_at, completed_at, status, records_updated, error_message)
