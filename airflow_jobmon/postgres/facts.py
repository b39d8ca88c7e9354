"""Reads what the log shows of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import psycopg

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import JobFacts, Window
from airflow_jobmon.core.model.runs import FAILED, SUCCESS, Run
from airflow_jobmon.core.rules.incident_changes import RECENT
from airflow_jobmon.core.rules.late_starts import PassedDeadline
from airflow_jobmon.core.schedule.learned import LearnedSchedule
from airflow_jobmon.core.times import parse_moment
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.rows import tuple_row

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


class FactsRow(NamedTuple):
    """One row of the query `facts`, or of `facts_at`, which leaves out the last four."""

    name: str
    newest_id: str | None
    newest_started_at: datetime
    newest_completed_at: datetime | None
    newest_status: str
    newest_records_updated: int | None
    newest_error_message: str | None
    newest_is_finished: bool | None
    finished_id: str | None
    finished_started_at: datetime
    finished_completed_at: datetime | None
    finished_status: str
    finished_records_updated: int | None
    finished_error_message: str | None
    success_id: str | None
    success_started_at: datetime
    success_completed_at: datetime | None
    success_status: str
    success_records_updated: int | None
    success_error_message: str | None
    failed_in_a_row: int
    failing_since: datetime | None
    newest_run: str
    longest_success: timedelta | None
    finished: int | None
    succeeded: int | None
    requested_at: datetime | None = None
    uncounted: Sequence[dict[str, Any]] | None = None
    due_at: datetime | None = None
    starts: Sequence[datetime] | None = None

    def newest(self) -> Run | None:
        if self.newest_id is None:
            return None
        return Run(
            id=self.newest_id,
            job_name=self.name,
            started_at=self.newest_started_at,
            completed_at=self.newest_completed_at,
            status=self.newest_status,
            records_updated=self.newest_records_updated,
            error_message=self.newest_error_message,
        )

    def newest_finished(self) -> Run | None:
        """The newest finished run; None if the newest run itself is finished."""
        if self.finished_id is None:
            return None
        return Run(
            id=self.finished_id,
            job_name=self.name,
            started_at=self.finished_started_at,
            completed_at=self.finished_completed_at,
            status=self.finished_status,
            records_updated=self.finished_records_updated,
            error_message=self.finished_error_message,
        )

    def newest_success(self) -> Run | None:
        """The newest success; None if the last finished run succeeded."""
        if self.success_id is None:
            return None
        return Run(
            id=self.success_id,
            job_name=self.name,
            started_at=self.success_started_at,
            completed_at=self.success_completed_at,
            status=self.success_status,
            records_updated=self.success_records_updated,
            error_message=self.success_error_message,
        )

    def first_start_after_due(self) -> datetime | None:
        """When the first run after the stored deadline started; None if no run has started after it."""
        if self.due_at is None or not self.starts:
            return None
        return next((start for start in self.starts if start > self.due_at), None)


class PendingFacts:
    """Facts that were requested; the first use waits for them."""

    def __init__(self, cursor: psycopg.Cursor[FactsRow], *, window_counted: bool) -> None:
        self._cursor = cursor
        self._window_counted = window_counted

    @cached_property
    def _rows(self) -> dict[str, FactsRow]:
        return {row.name: row for row in self._cursor.fetchall()}

    @cached_property
    def requested_at(self) -> datetime:
        """When they were requested, by the database's clock, which all watchers share."""
        moments = [row.requested_at for row in self._rows.values() if row.requested_at is not None]
        return max(moments, default=datetime.now(UTC))

    def of(
        self,
        job: MonitoredJob,
        known_since: datetime,
        scheduled_since: datetime | None = None,
        learned_schedule: LearnedSchedule | None = None,
        window: Window | None = None,
    ) -> JobFacts:
        """The facts of a job that was registered or first seen at `known_since`, and scheduled at `scheduled_since`.

        `learned_schedule` was learned before; `window` was counted before, and is used where it was not counted now.
        """
        row = self._rows[job.name]
        newest = row.newest()
        last_finished = newest if row.newest_is_finished else row.newest_finished()
        succeeded = last_finished is not None and last_finished.status == SUCCESS
        if self._window_counted:
            window = Window(job.window_days, row.finished or 0, row.succeeded or 0)
        return JobFacts(
            job_name=row.name,
            registered_at=known_since,
            scheduled_since=scheduled_since,
            learned_schedule=learned_schedule,
            newest=newest,
            last_finished=last_finished,
            last_success=last_finished if succeeded else row.newest_success(),
            failed_in_a_row=row.failed_in_a_row,
            failing_since=row.failing_since,
            longest_success=row.longest_success,
            window=window,
            first_start_after_due=row.first_start_after_due(),
            newest_run=row.newest_run,
        )

    def uncounted_failures(self, job_name: str) -> list[Run]:
        """Recent failed runs that no incident counted; read only if the stored health was evaluated from other runs."""
        return [
            Run(
                failure["id"],
                job_name,
                parse_moment(failure["started_at"]),
                failure["completed_at"] and parse_moment(failure["completed_at"]),
                FAILED,
                error_message=failure["error_message"],
            )
            for failure in self._rows[job_name].uncounted or ()
        ]

    def passed_deadline(self, job_name: str) -> PassedDeadline | None:
        """The stored deadline, if it passed before the newest run started."""
        row = self._rows[job_name]
        return PassedDeadline(row.due_at, tuple(row.starts)) if row.due_at is not None and row.starts else None


def request_facts(
    conn: Connection, names: Sequence[str], *, at: datetime | None = None, count_window: bool = True
) -> PendingFacts:
    """Request the facts of these jobs, in one query.

    `at` shows the log as it stood then, archived runs included. Without `count_window` the success rate is not counted:
    its cost grows with the history, and an alert must not wait for it. With `at` it always is.
    """
    queries = load_queries("facts")
    given = {"names": list(names), "window_days": _WINDOW_DAYS}
    cursor = conn.cursor(row_factory=tuple_row(FactsRow))
    if at is not None:
        return PendingFacts(cursor.execute(queries["facts_at"], {**given, "at": at}), window_counted=True)
    cursor.execute(queries["facts"], {**given, "count_window": count_window, "recent": RECENT})
    return PendingFacts(cursor, window_counted=count_window)
