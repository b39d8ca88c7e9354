"""One job's ruling: what its new verdict changes about all its incidents, and what is told; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.core.health import ALERTING, Finding, JobFacts, JobHealth, Kind
from airflow_jobmon.core.incidents import Change, OpenIncident, Step, next_step
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import Run
from airflow_jobmon.core.telling import tell_finding, tell_recovered, tell_resolved


@dataclass(frozen=True, slots=True)
class Outcome:
    """One change to one incident, with the alert it asks for.

    finding is set when it opens or stays open; resolved_at when it ends; both times when it was over before it was
    told. failures are the failed runs it counts now.
    """

    kind: str
    change: Change
    incident: OpenIncident | None
    finding: Finding | None
    alert: Alert | None
    failures: Sequence[Run] = ()
    opened_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict on one job and everything that follows from it."""

    job: MonitoredJob
    facts: JobFacts
    health: JobHealth
    outcomes: Sequence[Outcome]
    uncounted: Sequence[Run] = ()


def rule(
    job: MonitoredJob,
    facts: JobFacts,
    health: JobHealth,
    incidents: Mapping[str, OpenIncident],
    new_failures: Sequence[Run],
    *,
    now: datetime,
    installed_at: datetime,
    realert_interval: timedelta,
    base_url: str | None,
) -> Ruling:
    """Decide what `health` changes about the open `incidents` of a job, by kind.

    `new_failures` are failed runs not counted before; the one that a later success overtook is told as recovered, or
    not at all where that success had ended first.
    """
    current, overtaken = _split(new_failures, facts.last_success)
    outcomes: list[Outcome] = []
    for kind in ALERTING:
        finding, incident = health.finding(kind), incidents.get(kind.value)
        if kind is Kind.LOW_SUCCESS_RATE and facts.window is None:
            continue
        failures = current if kind is Kind.FAILED and finding else ()
        step = next_step(
            incident,
            finding,
            now=now,
            installed_at=installed_at,
            realert_interval=realert_interval,
            new_occurrences=len(failures),
            error=facts.last_finished.error_message if facts.last_finished else None,
        )
        outcome = _outcome(
            kind, step, incident, finding, facts=facts, job=job, now=now, base_url=base_url, failures=failures
        )
        if outcome is not None:
            outcomes.append(outcome)
    open_failed = "failed" in incidents or any(o.kind == "failed" and o.change is Change.OPEN for o in outcomes)
    if not open_failed and job.failures_to_alert == 1:
        outcomes += _recovered(overtaken, facts.last_success, job, installed_at, base_url)
    told = {id(run) for outcome in outcomes for run in outcome.failures}
    return Ruling(job, facts, health, outcomes, [run for run in new_failures if id(run) not in told])


def _split(failures: Sequence[Run], success: Run | None) -> tuple[list[Run], list[Run]]:
    """Failures after the last success, and those it overtook, by (started_at, completed_at)."""
    ordered = sorted(failures, key=_order)
    if success is None:
        return ordered, []
    return (
        [run for run in ordered if _order(run) > _order(success)],
        [run for run in ordered if _order(run) <= _order(success)],
    )


def _order(run: Run) -> tuple[datetime, datetime]:
    return run.started_at, run.completed_at or run.started_at


def _outcome(
    kind: Kind,
    step: Step,
    incident: OpenIncident | None,
    finding: Finding | None,
    *,
    facts: JobFacts,
    job: MonitoredJob,
    now: datetime,
    base_url: str | None,
    failures: Sequence[Run],
) -> Outcome | None:
    if step.change is Change.NONE:
        return None
    if step.change is Change.RESOLVE and incident is not None:
        resolved_at = max(_cured_at(kind, facts, now), incident.opened_at)
        alert = None
        if step.alert is not None:
            alert = tell_resolved(kind.value, incident.opened_at, resolved_at, facts=facts, job=job, base_url=base_url)
        return Outcome(kind.value, step.change, incident, None, alert, resolved_at=resolved_at)
    if finding is None:
        return None
    alert = tell_finding(step.alert, finding, facts, job, base_url) if step.alert else None
    return Outcome(kind.value, step.change, incident, finding, alert, failures, opened_at=finding.since)


def _cured_at(kind: Kind, facts: JobFacts, now: datetime) -> datetime:
    """When the run that cures a kind did so; now, where no run did (it was deleted, or the expectation changed)."""
    if kind is Kind.MISSED:
        return min(facts.newest.started_at, now) if facts.newest else now
    if kind is Kind.STUCK:
        newest = facts.newest
        return min(newest.completed_at or now, now) if newest else now
    success = facts.last_success
    return min(success.completed_at or success.started_at, now) if success else now


def _recovered(
    overtaken: Sequence[Run], success: Run | None, job: MonitoredJob, installed_at: datetime, base_url: str | None
) -> Iterator[Outcome]:
    if success is None or success.completed_at is None:
        return
    late = [run for run in overtaken if run.completed_at and installed_at < run.completed_at < success.completed_at]
    if late:
        alert = tell_recovered(late[-1], success, job, base_url)
        yield Outcome(
            Kind.FAILED.value,
            Change.OPEN,
            None,
            None,
            alert,
            late,
            opened_at=late[0].completed_at,
            resolved_at=success.completed_at,
        )
