"""The function that decides the health of a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from math import floor

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Finding, Health, JobFacts, JobHealth, Kind, worst
from airflow_jobmon.core.model.runs import FAILED, RUNNING, SUCCESS, Run
from airflow_jobmon.core.rules.missed import (
    ExpectedRun,
    expected_as_learned,
    expected_as_scheduled,
    in_hours,
    overdue_finding,
)
from airflow_jobmon.core.schedule.learned import LearnedSchedule
from airflow_jobmon.core.times import format_duration, roughly, to_the_second

FEWEST_RUNS = 5
"""A success rate over fewer finished runs than this says nothing."""

DORMANT_AFTER = timedelta(days=7)
"""An unregistered job silent for this long, and for twice as long as its learned schedule allows, counts as retired:
its findings are shown and stay open, but no one is alerted."""

_OF_RECORDS = {Kind.ZERO_RECORDS, Kind.FALLING_RECORDS}

_STUCK_FACTOR = 3
"""An unregistered job is stuck only past this many times its longest success, since no timeout was set for it."""


def assess(
    facts: JobFacts, job: MonitoredJob, *, now: datetime, registered: bool = True, all_rules: bool | None = None
) -> JobHealth:
    """Evaluate one job at `now` from what its log shows.

    A deadline belongs to the healthy side: a run due at 03:00 is missed at 03:00:00.000001. An unregistered job
    (`registered=False`) is evaluated by its failures, its stuck runs and its learned schedule, unless `all_rules`
    apply, and does not alert once it is dormant. A run in progress within its timeout leaves the health as the last
    finished run left it.
    """
    if all_rules is None:
        all_rules = registered
    expected = expected_as_scheduled(facts, job, now) if all_rules else expected_as_learned(facts, now)
    dormant = not registered and _is_dormant(facts, now, None if all_rules else facts.learned_schedule)
    findings = tuple(
        replace(found, alerts=False) if dormant else found
        for found in map(partial(_by_now, now), _findings(facts, job, now, expected, all_rules=all_rules))
    )
    newest = facts.newest
    quiet_health = Health.OK if facts.last_finished else Health.UNKNOWN
    return JobHealth(
        job_name=facts.job_name,
        status=worst([found.severity for found in findings]) if findings else quiet_health,
        findings=findings,
        last_run=newest,
        hours_since_last_run=max(in_hours(now - newest.started_at), 0.0) if newest else None,
        next_due_at=expected.due if expected else None,
        consecutive_failures=facts.failed_in_a_row,
        success_rate=None
        if facts.window is None or facts.window.success_rate is None
        else round(facts.window.success_rate, 2),
        next_evaluation_at=_next_moment(facts, job, now, expected, all_rules=all_rules),
    )


def _by_now(now: datetime, found: Finding) -> Finding:
    """A finding never starts in the future, whatever the log says."""
    return replace(found, since=now) if found.since > now else found


def _is_dormant(facts: JobFacts, now: datetime, learned: LearnedSchedule | None) -> bool:
    if facts.newest is None:
        return False
    last_start = facts.newest.started_at
    if now - last_start <= DORMANT_AFTER:
        return False
    return learned is None or now - last_start > 2 * (learned.due_after(last_start) - last_start)


def _findings(
    facts: JobFacts, job: MonitoredJob, now: datetime, expected: ExpectedRun | None, *, all_rules: bool
) -> Iterator[Finding]:
    if facts.last_finished is not None and facts.last_finished.status == FAILED:
        yield _failed(facts, facts.last_finished, job)
    if expected is not None and (overdue := overdue_finding(facts, expected, now)):
        yield overdue
    newest = facts.newest
    if newest is not None and newest.status == RUNNING:
        limit = _stuck_after(facts, job, all_rules=all_rules)
        if now - newest.started_at > limit:
            yield _stuck(newest, limit, now)
    if newest is not None and newest.status not in {RUNNING, SUCCESS, FAILED}:
        yield _unknown_status(newest)
    if all_rules and (slow := _slow(facts, job)):
        yield slow
    if all_rules and (low := _low_success_rate(facts, job, now)):
        yield low
    if all_rules:
        yield from _trends(facts, job)


def _failed(facts: JobFacts, run: Run, job: MonitoredJob) -> Finding:
    in_a_row = max(facts.failed_in_a_row, 1)
    ended = run.completed_at or run.started_at
    counts = in_a_row >= job.failures_to_alert
    message = f"run of {to_the_second(run.started_at)} failed"
    if in_a_row > 1:
        message = f"{in_a_row} runs in a row failed, the last one started at {to_the_second(run.started_at)}"
    return Finding(
        kind=Kind.FAILED,
        severity=Health.CRITICAL if counts else Health.WARNING,
        message=message,
        observed=in_a_row,
        threshold=job.failures_to_alert,
        since=facts.failing_since or ended,
        evidence_at=ended,
        alerts=counts,
    )


def _stuck_after(facts: JobFacts, job: MonitoredJob, *, all_rules: bool) -> timedelta:
    if all_rules or facts.longest_success is None:
        return job.timeout
    return max(job.timeout, _STUCK_FACTOR * facts.longest_success)


def _stuck(run: Run, limit: timedelta, now: datetime) -> Finding:
    running = now - run.started_at
    return Finding(
        kind=Kind.STUCK,
        severity=Health.CRITICAL,
        message=f"running for {roughly(running)} since {to_the_second(run.started_at)}, "
        f"over its limit of {format_duration(limit)}",
        observed=round(running.total_seconds(), 3),
        threshold=limit.total_seconds(),
        since=run.started_at + limit,
        evidence_at=run.started_at + limit,
    )


def _unknown_status(run: Run) -> Finding:
    return Finding(
        kind=Kind.UNKNOWN_STATUS,
        severity=Health.UNKNOWN,
        message=f"status {run.status[:60]!r} is unknown; "
        "map it in [jobmon] status_words and run airflow jobmon migrate",
        observed=run.status[:60],
        threshold=None,
        since=run.started_at,
        evidence_at=run.started_at,
        alerts=False,
    )


def _slow(facts: JobFacts, job: MonitoredJob) -> Finding | None:
    run = facts.last_success
    if run is None or run.completed_at is None or run.completed_at - run.started_at <= job.max_duration:
        return None
    took = run.completed_at - run.started_at
    return Finding(
        kind=Kind.SLOW,
        severity=Health.WARNING,
        message=f"run of {to_the_second(run.started_at)} took {roughly(took)}, "
        f"over its limit of {format_duration(job.max_duration)}",
        observed=round(took.total_seconds(), 3),
        threshold=job.max_duration.total_seconds(),
        since=run.completed_at,
        evidence_at=run.completed_at,
    )


def _low_success_rate(facts: JobFacts, job: MonitoredJob, now: datetime) -> Finding | None:
    window = facts.window
    if window is None or window.success_rate is None or window.finished < FEWEST_RUNS:
        return None
    if window.success_rate >= job.min_success_rate:
        return None
    last = facts.last_finished
    seen = (last.completed_at or last.started_at) if last else now
    shown = floor(window.success_rate * 100) / 100  # never rounded up to what it is below
    return Finding(
        kind=Kind.LOW_SUCCESS_RATE,
        severity=Health.WARNING,
        message=f"{shown:.2f} % of {window.finished} runs in {window.days} days succeeded, "
        f"below {job.min_success_rate:g} %",
        observed=shown,
        threshold=job.min_success_rate,
        since=seen,
        evidence_at=seen,
    )


def _trends(facts: JobFacts, job: MonitoredJob) -> Iterator[Finding]:
    """The stored trends, except those that a newer run has ended or whose rule has been turned off since."""
    for found in facts.trends:
        newest = facts.last_success
        updated = newest is not None and newest.started_at > found.since and bool(newest.records_updated)
        if found.kind is Kind.ZERO_RECORDS and updated:
            continue
        if found.kind in _OF_RECORDS and not job.zero_records_days:
            continue
        yield found


def _next_moment(
    facts: JobFacts, job: MonitoredJob, now: datetime, expected: ExpectedRun | None, *, all_rules: bool
) -> datetime | None:
    """When time alone may next change the health: late, missed or stuck; None where only a new run can."""
    moments = [expected.late, expected.due] if expected else []
    if facts.newest is not None and facts.newest.status == RUNNING:
        moments.append(facts.newest.started_at + _stuck_after(facts, job, all_rules=all_rules))
    return min((moment for moment in moments if moment >= now), default=None)
