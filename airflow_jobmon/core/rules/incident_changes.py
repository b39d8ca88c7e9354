"""One job's ruling: what its new verdict changes about all its incidents, and what is told; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import ALERTING, Finding, Health, JobFacts, JobHealth, Kind
from airflow_jobmon.core.model.incidents import Change, OpenIncident, State, next_step
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.rules.alert_factory import (
    tell_after_silence,
    tell_again,
    tell_finding,
    tell_recovered,
    tell_resolved,
)

NEWS = timedelta(hours=24)
"""A failure that ended longer ago, and that no event told of, was loaded into the log: nobody is alerted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One change to one incident, with the alert it asks for.

    becomes is the state it is in from then on. silence holds the alert back: it is recorded and not sent. finding is
    set when it opens or stays open; resolved_at when it ends; both times when it was over before it was told. failures
    are the failed runs it counts now.
    """

    kind: str
    change: Change
    becomes: State
    incident: OpenIncident | None
    finding: Finding | None
    alert: Alert | None
    silence: Silence | None = None
    failures: Sequence[Run] = ()
    opened_at: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def tells(self) -> bool:
        """Whether somebody is told of it now."""
        return self.alert is not None and self.silence is None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict on one job and everything that follows from it.

    uncounted: failed runs that belong to no incident. judge_at: when time alone may next change something: the verdict,
    or that an open incident is told again, or a silence over it ends.
    """

    job: MonitoredJob
    facts: JobFacts
    health: JobHealth
    outcomes: Sequence[Outcome]
    uncounted: Sequence[Run] = ()
    judge_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a ruling depends on besides the job: the moment, what is configured, who wants silence.

    installed_at: what was wrong with the job by then is no news; long ago for a job that the log did not show then.
    found_started_at: when the newest run started that the log showed of it then; None: whatever is so old counts as so.
    """

    now: datetime
    installed_at: datetime
    realert_interval: timedelta
    base_url: str | None
    silence: Silence | None = None
    found_started_at: datetime | None = None

    def was_so(self, at: datetime, run: Run | None) -> bool:
        """Whether what happened `at` by this run (None: by none at all) was in the log when we were installed."""
        if at > self.installed_at:
            return False
        return run is None or self.found_started_at is None or run.started_at <= self.found_started_at


def rule(
    job: MonitoredJob,
    facts: JobFacts,
    health: JobHealth,
    incidents: Mapping[str, OpenIncident],
    new_failures: Sequence[Run],
    *,
    noted: bool,
    given: Circumstances,
    in_a_row: Mapping[str, int] = MappingProxyType({}),
) -> Ruling:
    """Decide what `health` changes about the open `incidents` of a job, by kind.

    `new_failures` are failed runs not counted before, `noted` says that an event told of one; those that a later
    success overtook are told as recovered, where as many had failed in a row as alert: `in_a_row` says by run id how
    many with it (default: it alone). A run that ended after a newer one had already finished changes nothing.
    """
    in_time = [run for run in new_failures if not _finished_late(run, facts.last_finished)]
    current, overtaken = _split(in_time, facts.last_success)
    outcomes = [
        outcome
        for kind in ALERTING
        # Without a count the rate says nothing, neither that it is low nor that it recovered.
        if not (kind is Kind.LOW_SUCCESS_RATE and facts.window is None)
        and (
            outcome := _outcome(kind, health, incidents.get(kind.value), job, facts, current, noted=noted, given=given)
        )
    ]
    if not any(outcome.kind == Kind.FAILED for outcome in outcomes):
        outcomes += _recovered(overtaken, in_a_row, job, facts, given)
    counted = {id(run) for outcome in outcomes for run in outcome.failures}
    return Ruling(
        job,
        facts,
        health,
        outcomes,
        [run for run in new_failures if id(run) not in counted],
        min((at for at in (health.judge_at, *_moments(outcomes, given)) if at is not None), default=None),
    )


def retire(job: MonitoredJob, facts: JobFacts, incidents: Mapping[str, OpenIncident], now: datetime) -> Ruling:
    """A job that is not watched any more: what is open about it is closed, and nobody is told."""
    health = JobHealth(job.name, Health.UNKNOWN, (), facts.newest, None, None, 0, None)
    outcomes = [
        Outcome(kind, Change.RESOLVE, State.NONE, incident, None, None, resolved_at=now)
        for kind, incident in incidents.items()
    ]
    return Ruling(job, facts, health, outcomes)


def _split(failures: Sequence[Run], success: Run | None) -> tuple[list[Run], list[Run]]:
    """Failures after the last success, and those it overtook, by (started_at, completed_at)."""
    ordered = sorted(failures, key=_order)
    if success is None:
        return ordered, []
    return (
        [run for run in ordered if _order(run) > _order(success)],
        [run for run in ordered if _order(run) <= _order(success)],
    )


def _finished_late(run: Run, newest: Run | None) -> bool:
    """Whether a run that started later had finished before this one did: it was judged without this one."""
    return newest is not None and _order(run) < _order(newest) and _end(run) > _end(newest)


def _order(run: Run) -> tuple[datetime, datetime]:
    return run.started_at, _end(run)


def _end(run: Run) -> datetime:
    """When it ended; a finished run without an end is taken to have ended as it began."""
    return run.completed_at or run.started_at


def _outcome(  # noqa: PLR0917 - one incident's whole context
    kind: Kind,
    health: JobHealth,
    incident: OpenIncident | None,
    job: MonitoredJob,
    facts: JobFacts,
    current: Sequence[Run],
    *,
    noted: bool,
    given: Circumstances,
) -> Outcome | None:
    finding = health.finding(kind)
    if finding is None and incident is None:
        return None  # as nearly always, five times a job
    failures = current if kind is Kind.FAILED and finding else ()
    quiet = finding is not None and _quiet(finding, facts, given, noted=noted)
    step = next_step(
        incident,
        finding,
        now=given.now,
        quiet=quiet,
        happened_again=finding is not None and not quiet and _happened_again(finding, failures, noted=noted),
        realert_interval=given.realert_interval,
        errors=[run.error_message for run in failures],
        silenced=given.silence is not None,
    )
    if step.change is Change.RESOLVE and incident is not None:
        resolved_at = _cured_at(kind, incident, facts, given.now)
        over = tell_resolved(kind.value, incident.opened_at, resolved_at, facts=facts, job=job, base_url=given.base_url)
        told = over if step.alert else None
        return Outcome(
            kind.value, step.change, step.becomes, incident, None, told, given.silence, resolved_at=resolved_at
        )
    if step.change is Change.NONE or finding is None:
        return None
    alert = tell_finding(finding, facts, job, given.base_url) if step.alert else None
    if alert is not None and incident is not None:
        if step.alert is AlertEvent.REPEATED:
            alert = tell_again(alert, incident.opened_at, given.now)
        elif incident.state is State.SILENCED:
            alert = tell_after_silence(alert, incident.opened_at)
    return Outcome(
        kind.value,
        step.change,
        step.becomes,
        incident,
        finding,
        alert,
        given.silence,
        failures,
        opened_at=finding.since,
    )


def _quiet(finding: Finding, facts: JobFacts, given: Circumstances, *, noted: bool) -> bool:
    """Whether it was wrong before we watched, or is a failure of long ago that somebody loaded into the log."""
    at, newest, found = finding.evidence_at, facts.newest, given.found_started_at
    match finding.kind:
        case Kind.FAILED:
            return not noted and (given.now - at > NEWS or given.was_so(at, facts.last_finished))
        case Kind.MISSED | Kind.STUCK:
            # Where a newer run was there then and was deleted since, it was not so then.
            deleted = newest is not None and found is not None and newest.started_at < found
            return given.was_so(at, newest) and not deleted
        case Kind.SLOW:
            return given.was_so(at, facts.last_success)
        case _:
            return given.was_so(at, facts.last_finished)


def _happened_again(finding: Finding, failures: Sequence[Run], *, noted: bool) -> bool:
    """Whether what was recorded in silence, and is not quiet now, occurred anew; a low rate has no occurrences.

    An event may come to be judged after the sweep has counted its run, and taken it for one loaded from long ago.
    """
    if finding.kind is Kind.FAILED:
        return bool(failures) or noted
    return finding.kind is not Kind.LOW_SUCCESS_RATE


def _moments(outcomes: Sequence[Outcome], given: Circumstances) -> Iterator[datetime]:
    """When each incident that stays open may be told without anything new: at the end of a silence, or again."""
    for outcome in outcomes:
        if outcome.finding is None or not outcome.finding.alerts:
            continue
        if outcome.becomes is State.SILENCED and given.silence is not None:
            yield given.silence.ends_at
        elif outcome.becomes is State.TOLD and outcome.finding.severity is Health.CRITICAL:
            told_at = outcome.incident.told_at if outcome.incident else None
            # A moment that is still to come was written before a clock was set back.
            yield min(given.now if outcome.tells or told_at is None else told_at, given.now) + given.realert_interval


def _cured_at(kind: Kind, incident: OpenIncident, facts: JobFacts, now: datetime) -> datetime:
    """When the run that cures a kind did so; now, where no run did (it was deleted, or the expectation changed)."""
    newest, success = facts.newest, facts.last_success
    if kind is Kind.MISSED:
        cured = facts.came_at or (newest.started_at if newest else now)
    elif kind is Kind.STUCK:
        cured = newest.completed_at or now if newest else now
    else:
        cured = _end(success) if success else now
    return cured if incident.opened_at < cured <= now else now


def _recovered(
    overtaken: Sequence[Run], in_a_row: Mapping[str, int], job: MonitoredJob, facts: JobFacts, given: Circumstances
) -> Iterator[Outcome]:
    success = facts.last_success
    if success is None:
        return
    late = [run for run in overtaken if _end(run) < _end(success) and not given.was_so(_end(run), run)]
    if alerting := [run for run in late if in_a_row.get(run.id, 1) >= job.failures_to_alert]:
        alert = tell_recovered(alerting[-1], success, job, given.base_url)
        yield Outcome(
            Kind.FAILED.value,
            Change.OPEN,
            State.NONE,
            None,
            None,
            alert,
            given.silence,
            late,
            opened_at=min(_end(late[0]), given.now),
            resolved_at=min(_end(success), given.now),
        )
