"""The rule for late and missed runs: when the next run is expected, and how overdue it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Finding, Health, JobFacts, Kind
from airflow_jobmon.core.times import to_the_second


class ExpectedRun(NamedTuple):
    """The next run: when it should start (`at`), from when it is late, and after when it is missed (`due`).

    With a stated schedule it is late at once; with a learned one half-way to `due`, since starting slightly later than
    ever before is no cause for concern.
    """

    at: datetime
    late: datetime
    due: datetime
    learned: bool


def expected_as_scheduled(facts: JobFacts, job: MonitoredJob, now: datetime) -> ExpectedRun:
    """The run after the last one, by the job's own schedule and grace."""
    last_start = min(facts.newest.started_at, now) if facts.newest else facts.registered_at
    at, changed = job.expected_after(last_start), facts.scheduled_since
    if changed is not None and at <= changed <= now:
        at = job.expected_after(changed)  # a slot from before the schedule was set does not count
    return ExpectedRun(at, at, at + job.grace, learned=False)


def expected_as_learned(facts: JobFacts, now: datetime) -> ExpectedRun | None:
    """None where no schedule was learned, and where the run was due before the job was first seen."""
    if facts.learned_schedule is None or facts.newest is None:
        return None
    last_start = min(facts.newest.started_at, now)
    at, due = facts.learned_schedule.after(last_start)
    return ExpectedRun(at, at + (due - at) / 2, due, learned=True) if due > facts.registered_at else None


def overdue_finding(facts: JobFacts, expected: ExpectedRun, now: datetime) -> Finding | None:
    """The finding for a late or missed run; a run due at 03:00 is missed at 03:00:00.000001."""
    at, late, due, learned = expected
    if now <= late or (facts.newest is None and now <= due):
        return None
    since_last = now - (facts.newest.started_at if facts.newest else facts.registered_at)
    ago = f"no run for {_spoken(since_last)}" if facts.newest else f"has never run in {_spoken(since_last)}"
    missed = now > due
    rule = "by its learned schedule one was expected by" if learned else "one was expected at"
    return Finding(
        kind=Kind.MISSED if missed else Kind.LATE,
        severity=Health.CRITICAL if missed else Health.WARNING,
        message=f"{ago}; {rule} {to_the_second(at)}"
        + (
            f" and due by {to_the_second(due)}"
            if missed
            else f"; it is late, and counts as missed after {to_the_second(due)}"
        ),
        observed=round(since_last.total_seconds(), 3),
        threshold=round((due - (now - since_last)).total_seconds(), 3),
        since=due if missed else late,
        evidence_at=due if missed else late,
        alerts=missed,
    )


def _spoken(duration: timedelta) -> str:
    """In hours, as the gap of a daily job is read; in minutes too where it is under two hours."""
    hours = f"{in_hours(duration)} hours"
    return hours if duration >= timedelta(hours=2) else f"{duration.total_seconds() // 60:.0f} minutes ({hours})"


def in_hours(duration: timedelta) -> float:
    """In hours, to a tenth."""
    return round(duration.total_seconds() / 3600, 1)
