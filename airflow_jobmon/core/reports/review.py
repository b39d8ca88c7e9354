"""The weekly review: each job's last seven days compared with the seven before, and action items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, JobHealth
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.rendering.report_text import sparkline
from airflow_jobmon.core.text import counted, one_line
from airflow_jobmon.core.times import iso, roughly

WEEK = timedelta(days=7)

ACTIONS = {
    "failed": "Follow the runbook",
    "missed": "Follow the runbook",
    "stuck": "Follow the runbook",
    "low_success_rate": "Investigate recurring issues",
    "falling_success_rate": "Check for infrastructure or code issues",
    "rising_duration": "Check database performance",
    "slow": "Check database performance",
    "zero_records": "Verify data pipeline",
    "falling_records": "Verify data pipeline",
}
"""What the monitoring procedures recommend for each kind of finding."""


@dataclass(frozen=True, slots=True)
class Span:
    """A job's runs over some days, without drills. Durations (seconds) and records are those of successful runs."""

    finished: int = 0
    succeeded: int = 0
    avg_duration: float | None = None
    p95_duration: float | None = None
    max_duration: float | None = None
    records: int | None = None

    @property
    def success_rate(self) -> float | None:
        """Percent; None without a finished run."""
        return 100.0 * self.succeeded / self.finished if self.finished else None


@dataclass(frozen=True, slots=True)
class JobWeek:
    """One job's last seven days, the seven before, and each of the last seven, oldest first (24 hours each)."""

    job: MonitoredJob
    health: JobHealth
    week: Span
    before: Span
    days: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The week's deliveries on one channel. p95_seconds: from an alert's creation to its acceptance."""

    channel: str
    sent: int
    dead: int
    p95_seconds: float | None


def review(
    weeks: Sequence[JobWeek],
    *,
    at: datetime,
    clock_changes: Sequence[str] = (),
    deliveries: Sequence[Delivered] = (),
    page: str | None,
    kept_at: str | None = None,
) -> Report:
    """The report of the week before `at`. clock_changes: sentences; kept_at: the URL of its page with charts."""
    ordered = sorted(weeks, key=lambda one: (_rank(one), one.job.name))
    actions = list(_actions(ordered))
    worst = min((_rank(one) for one in ordered), default=0)
    links = [("The review with charts", kept_at)] if kept_at else []
    return Report(
        kind="weekly",
        title=_title(ordered, actions),
        severity=Health.WARNING if actions else Health.OK if weeks else Health.UNKNOWN,
        at=at,
        summary=_summary(ordered),
        sections=list(filter(_filled, _sections(ordered, actions, clock_changes, deliveries, page))),
        links=(*links, *((("All jobs", page),) if page else ())),
        details={
            "since": iso(at - WEEK),
            "until": iso(at),
            "worst": worst,
            "jobs": [_details(one) for one in ordered],
            "actions": actions,
            "clock_changes": list(clock_changes),
            "kept_at": kept_at,
        },
    )


def _title(weeks: Sequence[JobWeek], actions: Sequence[str]) -> str:
    if not weeks:
        return "Weekly review: no jobs"
    items = counted(len(actions), "action item") if actions else "no action items"
    return f"Weekly review: {counted(len(weeks), 'job')}, {items}"


def _summary(weeks: Sequence[JobWeek]) -> str:
    finished = sum(one.week.finished for one in weeks)
    succeeded = sum(one.week.succeeded for one in weeks)
    if not finished:
        return "No run finished in the last seven days."
    before_finished = sum(one.before.finished for one in weeks)
    before = sum(one.before.succeeded for one in weeks)
    was = f" ({_percent(100.0 * before / before_finished)} in the week before)" if before_finished else ""
    below = sum(_rank(one) == 0 for one in weeks)
    met = sum(_rank(one) == 3 for one in weeks)
    fell = f", {below} {'is' if below == 1 else 'are'} below the minimum" if below else ""
    return (
        f"{succeeded} of {finished} runs succeeded, {_percent(100.0 * succeeded / finished)}{was}; "
        f"{met} of {len(weeks)} jobs met their target{fell}."
    )


def _sections(
    weeks: Sequence[JobWeek],
    actions: Sequence[str],
    clock_changes: Sequence[str],
    deliveries: Sequence[Delivered],
    page: str | None,
) -> Iterator[Section]:
    yield Section("Action items", actions)
    yield Section("Clock changes in the coming week", clock_changes)
    yield Section("Success", table=_success_table(weeks, page))
    yield Section("Duration of successes", table=_duration_table(weeks, page))
    yield Section("Records updated per day", table=_records_table(weeks, page))
    yield Section("Alerts", table=_delivery_table(deliveries))


def _filled(section: Section) -> bool:
    return bool(section.lines) or (section.table is not None and bool(section.table.rows))


def _actions(weeks: Sequence[JobWeek]) -> Iterator[str]:
    for one in weeks:
        name = one_line(one.job.name, 400)
        kinds = {found.kind.value for found in one.health.findings}
        rate = one.week.success_rate
        if rate is not None and rate < one.job.min_success_rate and "low_success_rate" not in kinds:
            yield (
                f"{name}: {ACTIONS['low_success_rate'].lower().capitalize()} ({_percent(rate)} of {one.week.finished} "
                f"runs succeeded this week; the minimum is {one.job.min_success_rate:g} %)"
            )
        for found in one.health.findings:
            if action := ACTIONS.get(found.kind.value):
                yield f"{name}: {action} ({found.message})"


def _rank(one: JobWeek) -> int:
    """0: below the minimum, 1: below the target, 2: no runs, 3: target met."""
    rate = one.week.success_rate
    if rate is None:
        return 2
    return 0 if rate < one.job.min_success_rate else 1 if rate < one.job.target_success_rate else 3


def _standing(one: JobWeek) -> str:
    job = one.job
    return {
        0: f"below {job.min_success_rate:g} %",
        1: f"below {job.target_success_rate:g} %",
        2: "no run",
        3: "ok",
    }[_rank(one)]


def _success_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
    rows = [
        (
            one.job.name,
            _standing(one),
            _percent(one.week.success_rate),
            _percent(one.before.success_rate),
            str(one.week.finished),
            str(one.week.finished - one.week.succeeded),
            sparkline([day.success_rate for day in one.days], top=100.0),
        )
        for one in weeks
    ]
    columns = ("job", "status", "success", "before", "runs", "failed", "7 days")
    return Table(columns, rows, frozenset({2, 3, 4, 5}), _links(weeks, page))


def _duration_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
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


def _records_table(weeks: Sequence[JobWeek], page: str | None) -> Table:
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


def _delivery_table(deliveries: Sequence[Delivered]) -> Table:
    rows = [(found.channel, str(found.sent), str(found.dead), _seconds(found.p95_seconds)) for found in deliveries]
    return Table(("channel", "delivered", "refused", "p95 delivery time"), rows, frozenset({1, 2, 3}))


def _links(weeks: Sequence[JobWeek], page: str | None) -> list[str | None]:
    return [f"{page}?job_name={quote(one.job.name, safe='')}" if page else None for one in weeks]


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f} %"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else roughly(timedelta(seconds=seconds))


def _per_day(records: int | None) -> str:
    return "-" if records is None else f"{records / 7:,.1f}".replace(",", " ")


def _details(one: JobWeek) -> Mapping[str, Any]:
    return {
        "job_name": one.job.name,
        "standing": _standing(one),
        "week": _span(one.week),
        "before": _span(one.before),
        "days": [_span(day) for day in one.days],
        "findings": [found.as_json() for found in one.health.findings],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "total_finished": span.finished,
        "successful_runs": span.succeeded,
        "success_rate": None if span.success_rate is None else round(span.success_rate, 2),
        "avg_duration_seconds": span.avg_duration,
        "p95_duration_seconds": span.p95_duration,
        "max_duration_seconds": span.max_duration,
        "records_updated": span.records,
    }
