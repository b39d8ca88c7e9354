"""The weekly review: each job's last seven days compared with the seven before, and action items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.report import Report, Section
from airflow_jobmon.core.reports.job_week import Delivered, JobWeek, Span
from airflow_jobmon.core.reports.review_tables import (
    delivery_table,
    duration_table,
    percent,
    records_table,
    success_table,
)
from airflow_jobmon.core.text import counted, one_line
from airflow_jobmon.core.times import iso

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
    ordered = sorted(weeks, key=lambda one: (one.rank, one.job.name))
    actions = list(_actions(ordered))
    worst = min((one.rank for one in ordered), default=0)
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
    was = f" ({percent(100.0 * before / before_finished)} in the week before)" if before_finished else ""
    below = sum(one.rank == 0 for one in weeks)
    met = sum(one.rank == 3 for one in weeks)
    fell = f", {below} {'is' if below == 1 else 'are'} below the minimum" if below else ""
    return (
        f"{succeeded} of {finished} runs succeeded, {percent(100.0 * succeeded / finished)}{was}; "
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
    yield Section("Success", table=success_table(weeks, page))
    yield Section("Duration of successes", table=duration_table(weeks, page))
    yield Section("Records updated per day", table=records_table(weeks, page))
    yield Section("Alerts", table=delivery_table(deliveries))


def _filled(section: Section) -> bool:
    return bool(section.lines) or (section.table is not None and bool(section.table.rows))


def _actions(weeks: Sequence[JobWeek]) -> Iterator[str]:
    for one in weeks:
        name = one_line(one.job.name, 400)
        kinds = {found.kind.value for found in one.health.findings}
        rate = one.week.success_rate
        if rate is not None and rate < one.job.min_success_rate and "low_success_rate" not in kinds:
            yield (
                f"{name}: {ACTIONS['low_success_rate'].lower().capitalize()} ({percent(rate)} of {one.week.finished} "
                f"runs succeeded this week; the minimum is {one.job.min_success_rate:g} %)"
            )
        for found in one.health.findings:
            if action := ACTIONS.get(found.kind.value):
                yield f"{name}: {action} ({found.message})"


def _details(one: JobWeek) -> Mapping[str, Any]:
    return {
        "job_name": one.job.name,
        "standing": one.standing,
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
