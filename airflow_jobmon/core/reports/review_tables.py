"""The tables of the weekly review: one row per job, or per channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from airflow_jobmon.core.model.report import Table
from airflow_jobmon.core.rendering.report_text import sparkline
from airflow_jobmon.core.reports.job_week import Delivered, JobWeek
from airflow_jobmon.core.times import roughly


def success_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
    rows = [
        (
            one.job.name,
            one.standing,
            percent(one.week.success_rate),
            percent(one.before.success_rate),
            str(one.week.finished),
            str(one.week.finished - one.week.succeeded),
            sparkline([day.success_rate for day in one.days], top=100.0),
        )
        for one in weeks
    ]
    columns = ("job", "status", "success", "before", "runs", "failed", "7 days")
    return Table(columns, rows, frozenset({2, 3, 4, 5}), _links(weeks, page))


def duration_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
    shown = [one for one in weeks if one.week.avg_duration is not None or one.before.avg_duration is not None]
    rows = [
        (
            one.job.name,
            _seconds(one.week.avg_duration),
            _seconds(one.before.avg_duration),
            _seconds(one.week.p95_duration),
            _seconds(one.before.p95_duration),
            _seconds(one.week.max_duration),
            _seconds(one.before.max_duration),
            sparkline([day.avg_duration for day in one.days]),
        )
        for one in shown
    ]
    columns = ("job", "average", "before", "p95", "before", "longest", "before", "7 days")
    return Table(columns, rows, frozenset(range(1, 7)), _links(shown, page))


def records_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
    shown = [one for one in weeks if one.week.records is not None or one.before.records is not None]
    rows = [
        (
            one.job.name,
            _per_day(one.week.records),
            _per_day(one.before.records),
            sparkline([None if day.records is None else float(day.records) for day in one.days]),
        )
        for one in shown
    ]
    return Table(("job", "per day", "before", "7 days"), rows, frozenset({1, 2}), _links(shown, page))


def delivery_table(deliveries: Sequence[Delivered]) -> Table:
    rows = [(found.channel, str(found.sent), str(found.dead), _seconds(found.p95_seconds)) for found in deliveries]
    return Table(("channel", "delivered", "refused", "p95 delivery time"), rows, frozenset({1, 2, 3}))


def _links(weeks: Sequence[JobWeek], page: str | None) -> list[str | None]:
    return [f"{page}?job_name={quote(one.job.name, safe='')}" if page else None for one in weeks]


def percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f} %"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else roughly(timedelta(seconds=seconds))


def _per_day(records: int | None) -> str:
    return "-" if records is None else f"{records / 7:,.1f}".replace(",", " ")
