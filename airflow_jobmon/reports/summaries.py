"""Makes the digest and the weekly review from the log, the incidents and the deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row, namedtuple_row

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, job_by_defaults
from airflow_jobmon.core.model.health import Health, JobHealth
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.model.silences import Silence, in_force
from airflow_jobmon.core.reports.clock_changes import clock_changes
from airflow_jobmon.core.reports.digest import (
    PERIOD,
    DigestIncident,
    FailedRuns,
    MissedRun,
    Morning,
    Undelivered,
    digest,
)
from airflow_jobmon.core.reports.job_week import Delivered, JobWeek, Span
from airflow_jobmon.core.reports.review import WEEK, review
from airflow_jobmon.core.reports.review_page import DAYS, JobDay, review_page
from airflow_jobmon.core.text import one_line
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import list_jobs
from airflow_jobmon.settings import Settings

Connection = psycopg.Connection[Any]


def page_of(settings: Settings) -> str | None:
    """The page of all jobs in Airflow's UI; None if Airflow's base URL is not configured."""
    return f"{settings.base_url}/jobmon/" if settings.base_url else None


def daily_report(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Report:
    """The morning digest: what happened in the 24 hours before `now`, and the jobs' health at `now`."""
    at = now or datetime.now(UTC)
    queries = load_queries("summaries")
    given = {"at": at, "period": PERIOD}
    healths = assess_jobs(conn, settings, at=now)
    (watched,) = conn.execute(queries["watched"]).fetchone() or (False,)
    morning = Morning(
        healths=healths,
        failures=conn.cursor(row_factory=class_row(FailedRuns)).execute(queries["failures"], given).fetchall(),
        missed=conn.cursor(row_factory=class_row(MissedRun)).execute(queries["missed"], given).fetchall(),
        open=_open_incidents(conn, at),
        undelivered=conn.cursor(row_factory=class_row(Undelivered)).execute(queries["undelivered"], given).fetchall(),
        watched=watched,
    )
    return digest(morning, at=at, page=page_of(settings))


@dataclass(frozen=True, slots=True)
class WeeklyReview:
    """Everything a review is made from, gathered once for the report and its page with charts."""

    weeks: Sequence[JobWeek]
    days: Mapping[str, Mapping[date, JobDay]]
    clock_changes: Sequence[str]
    deliveries: Sequence[Delivered]
    at: datetime
    jobs_page: str | None

    def report(self, *, kept_at: str | None = None) -> Report:
        """`kept_at`: the URL of the page with charts, if there is one."""
        return review(
            self.weeks,
            at=self.at,
            clock_changes=self.clock_changes,
            deliveries=self.deliveries,
            page=self.jobs_page,
            kept_at=kept_at,
        )

    def page(self) -> str:
        """The review with charts, as HTML."""
        return review_page(self.report(), self.weeks, self.days)


def weekly_review(conn: Connection, settings: Settings, *, now: datetime | None = None) -> WeeklyReview:
    """Each job's seven days before `now`, and the seven before those."""
    at = now or datetime.now(UTC)
    queries = load_queries("summaries")
    weeks = _job_weeks(conn, settings, at, now)
    days: dict[str, dict[date, JobDay]] = {}
    since = at.date() - timedelta(days=DAYS)
    cursor = conn.cursor(row_factory=namedtuple_row)
    row: Any
    for row in cursor.execute(queries["days"], {"since": since, "until": at.date()}):
        days.setdefault(row.job_name, {})[row.date] = JobDay(row.success_rate, row.avg_duration, row.records)
    return WeeklyReview(
        weeks=weeks,
        days=days,
        clock_changes=[change for one in weeks for change in _clock_changes(one.job, at)],
        deliveries=conn.cursor(row_factory=class_row(Delivered)).execute(queries["arrivals"], {"at": at}).fetchall(),
        at=at,
        jobs_page=page_of(settings),
    )


def _clock_changes(job: MonitoredJob, at: datetime) -> Iterator[str]:
    for change in clock_changes(job, at, at + WEEK):
        yield f"{one_line(job.name, 400)}: {change.sentence}"


def _job_weeks(conn: Connection, settings: Settings, at: datetime, now: datetime | None) -> list[JobWeek]:
    """Two weeks of every watched job; without a finished run, only if it is registered or has an alerting finding."""
    registered = {entry.job.name: entry.job for entry in list_jobs(conn)}
    spans: dict[str, dict[int, Span]] = {}
    for row in conn.cursor(row_factory=dict_row).execute(load_queries("summaries")["spans"], {"at": at}):
        by_slice = spans.setdefault(row.pop("job_name"), {})
        slice_ = row.pop("slice")
        by_slice[slice_] = Span(**row)
    return [
        _job_week(registered.get(health.job_name) or job_by_defaults(health.job_name), health, found)
        for health in assess_jobs(conn, settings, at=now)
        if (found := spans.get(health.job_name, {}))
        or health.job_name in registered
        or any(finding.alerts for finding in health.findings)
    ]


def _job_week(job: MonitoredJob, health: JobHealth, spans: Mapping[int, Span]) -> JobWeek:
    none = Span()
    return JobWeek(
        job=job,
        health=health,
        week=spans.get(-1, none),
        before=spans.get(-2, none),
        days=[spans.get(slice_, none) for slice_ in range(6, -1, -1)],
    )


def _open_incidents(conn: Connection, at: datetime) -> list[DigestIncident]:
    queries = load_queries("summaries")
    silences = conn.cursor(row_factory=class_row(Silence)).execute(queries["silences"]).fetchall()
    rows: list[Any] = conn.cursor(row_factory=namedtuple_row).execute(queries["open_incidents"]).fetchall()
    return [
        DigestIncident(
            row.job_name,
            row.kind,
            Health(row.severity),
            row.since,
            row.message,
            _handled(row.job_name, row.acknowledged_by, silences, at),
        )
        for row in rows
    ]


def _handled(job_name: str, acknowledged_by: str | None, silences: Sequence[Silence], at: datetime) -> str:
    silence = in_force(silences, job_name, at)
    said = [f"acknowledged by {acknowledged_by}"] if acknowledged_by else []
    return ", ".join([*said, *([str(silence)] if silence else [])])
