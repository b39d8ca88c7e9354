"""Decides what the evaluation of one job changes about its incidents, and which alerts it creates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.evaluation import Evaluation, EvaluationContext, IncidentChange, JobInputs
from airflow_jobmon.core.model.health import ALERTING, Finding, Health, JobFacts, JobHealth, Kind
from airflow_jobmon.core.model.incidents import (
    Action,
    Evidence,
    IncidentState,
    OpenIncident,
    Transition,
    next_transition,
    observe,
)
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.rules.alert_factory import (
    finding_alert,
    recovered_alert,
    repeated_alert,
    resolved_alert,
    unsilenced_alert,
)

RECENT = timedelta(hours=24)
"""A failure without an event that ended longer ago than this was loaded into the log, and alerts no one."""


def evaluate_incidents(inputs: JobInputs, context: EvaluationContext) -> Evaluation:
    """Decide what the health of a job changes about its open incidents, and which it opens.

    Failures that a later success overtook open and resolve an incident at once, if `failures_to_alert` runs in a row
    had failed. A run that ended after a newer one had already finished changes nothing.
    """
    facts = inputs.facts
    in_time = [run for run in inputs.new_failures if not _finished_late(run, facts.last_finished)]
    current, overtaken = _split(in_time, facts.last_success)
    changes = [
        change
        for kind in ALERTING
        # Without a count the rate says nothing, neither that it is low nor that it recovered.
        if not (kind is Kind.LOW_SUCCESS_RATE and facts.window is None)
        and (change := _change(kind, current, inputs, context))
    ]
    if not any(change.kind == Kind.FAILED for change in changes):
        changes += _recovered(overtaken, inputs, context)
    counted = {id(run) for change in changes for run in change.failures}
    moments = [at for at in (inputs.health.next_evaluation_at, *_moments(changes, context)) if at is not None]
    return Evaluation(
        inputs.job,
        facts,
        inputs.health,
        changes,
        [run for run in inputs.new_failures if id(run) not in counted],
        min(moments, default=None),
    )


def close_incidents(
    job: MonitoredJob,
    facts: JobFacts,
    incidents: Mapping[str, OpenIncident],
    now: datetime,
    *,
    uncounted: Sequence[Run] = (),
) -> Evaluation:
    """Evaluate a job that is no longer watched: its open incidents are resolved, and no one is notified."""
    changes = [
        IncidentChange(kind, Action.RESOLVE, IncidentState.NONE, incident, None, None, resolved_at=now)
        for kind, incident in incidents.items()
    ]
    return Evaluation(job, facts, _unknown_health(job, facts), changes, uncounted)


def not_evaluated(job: MonitoredJob, facts: JobFacts) -> Evaluation:
    """Evaluate a job whose times cannot be calculated: unknown, until its runs change.

    It is stored like any other, or every sweep would try again.
    """
    return Evaluation(job, facts, _unknown_health(job, facts), ())


def _unknown_health(job: MonitoredJob, facts: JobFacts) -> JobHealth:
    return JobHealth(job.name, Health.UNKNOWN, (), facts.newest, None, None, 0, None)


def _split(failures: Sequence[Run], success: Run | None) -> tuple[list[Run], list[Run]]:
    """Separate failures after the last success from those it overtook, by (started_at, completed_at)."""
    ordered = sorted(failures, key=_order)
    if success is None:
        return ordered, []
    return (
        [run for run in ordered if _order(run) > _order(success)],
        [run for run in ordered if _order(run) <= _order(success)],
    )


def _finished_late(run: Run, newest: Run | None) -> bool:
    """Whether a run that started later had finished before this one did: the job was evaluated without this one."""
    return newest is not None and _order(run) < _order(newest) and _end(run) > _end(newest)


def _order(run: Run) -> tuple[datetime, datetime]:
    return run.started_at, _end(run)


def _end(run: Run) -> datetime:
    """When it ended; a finished run without an end counts as ended when it started."""
    return run.completed_at or run.started_at


def _change(kind: Kind, current: Sequence[Run], inputs: JobInputs, context: EvaluationContext) -> IncidentChange | None:
    finding, incident = inputs.health.finding(kind), inputs.incidents.get(kind.value)
    if finding is None and incident is None:
        return None  # the usual case, five times a job
    failures = current if kind is Kind.FAILED and finding else ()
    evidence = _evidence(finding, failures, inputs, context)
    observation = observe(incident, evidence, now=context.now, realert_interval=context.realert_interval)
    transition = next_transition(incident, observation, silenced=context.silence is not None)
    if transition.action is Action.RESOLVE and incident is not None:
        return _resolved(kind, incident, transition, inputs, context)
    if transition.action is Action.NONE or finding is None:
        return None
    return IncidentChange(
        kind.value,
        transition.action,
        transition.next_state,
        incident,
        finding,
        None if transition.alert is None else _alert(transition.alert, finding, incident, inputs, context),
        context.silence,
        failures,
        opened_at=finding.since,
    )


def _evidence(
    finding: Finding | None, failures: Sequence[Run], inputs: JobInputs, context: EvaluationContext
) -> Evidence:
    if finding is None:
        return Evidence(None)
    preexisting = _is_preexisting(finding, inputs, context)
    return Evidence(
        finding,
        preexisting=preexisting,
        happened_again=not preexisting and _happened_again(finding, failures, inputs),
        errors=[run.error_message for run in failures],
    )


def _is_preexisting(finding: Finding, inputs: JobInputs, context: EvaluationContext) -> bool:
    """Whether it was wrong before the installation, or is an old failure that was loaded into the log."""
    at, facts = finding.evidence_at, inputs.facts
    match finding.kind:
        case Kind.FAILED:
            old = context.now - at > RECENT
            return not inputs.has_event and (old or context.predates_installation(at, facts.last_finished))
        case Kind.MISSED | Kind.STUCK:
            # If the log had a newer run at the installation, deleted since, this was not wrong then.
            newest, newest_start = facts.newest, context.newest_start_at_installation
            deleted = newest is not None and newest_start is not None and newest.started_at < newest_start
            return context.predates_installation(at, newest) and not deleted
        case Kind.SLOW:
            return context.predates_installation(at, facts.last_success)
        case _:
            return context.predates_installation(at, facts.last_finished)


def _happened_again(finding: Finding, failures: Sequence[Run], inputs: JobInputs) -> bool:
    """Whether a recorded finding occurred again; a low rate has no occurrences.

    A sweep may have counted the run of an event as an old one before the event is evaluated.
    """
    if finding.kind is Kind.FAILED:
        return bool(failures) or inputs.has_event
    return finding.kind is not Kind.LOW_SUCCESS_RATE


def _alert(
    event: AlertEvent,
    finding: Finding,
    incident: OpenIncident | None,
    inputs: JobInputs,
    context: EvaluationContext,
) -> Alert:
    alert = finding_alert(finding, inputs.facts, inputs.job, context.base_url)
    if incident is None:
        return alert
    if event is AlertEvent.REPEATED:
        return repeated_alert(alert, incident.opened_at, context.now)
    return unsilenced_alert(alert, incident.opened_at) if incident.state is IncidentState.SILENCED else alert


def _resolved(
    kind: Kind, incident: OpenIncident, transition: Transition, inputs: JobInputs, context: EvaluationContext
) -> IncidentChange:
    resolved_at = _resolution_time(kind, incident, inputs.facts, context.now)
    alert = None
    if transition.alert is not None:
        alert = resolved_alert(incident, resolved_at, inputs.facts, inputs.job, context.base_url)
    return IncidentChange(
        kind.value,
        transition.action,
        transition.next_state,
        incident,
        None,
        alert,
        context.silence,
        resolved_at=resolved_at,
    )


def _resolution_time(kind: Kind, incident: OpenIncident, facts: JobFacts, now: datetime) -> datetime:
    """When a run ended the problem; `now` if none did (the failed run was deleted, or the expectation changed)."""
    newest, success = facts.newest, facts.last_success
    if kind is Kind.MISSED:
        at = facts.first_start_after_due or (newest.started_at if newest else now)
    elif kind is Kind.STUCK:
        at = newest.completed_at or now if newest else now
    else:
        at = _end(success) if success else now
    return at if incident.opened_at < at <= now else now


def _recovered(overtaken: Sequence[Run], inputs: JobInputs, context: EvaluationContext) -> Iterator[IncidentChange]:
    """Failures that recovered before they were evaluated: one incident, opened and resolved at once."""
    success = inputs.facts.last_success
    if success is None:
        return
    failures = [
        run for run in overtaken if _end(run) < _end(success) and not context.predates_installation(_end(run), run)
    ]
    needed = inputs.job.failures_to_alert
    alerting = [run for run in failures if inputs.failures_in_a_row.get(run.id, 1) >= needed]
    if alerting:
        yield IncidentChange(
            Kind.FAILED.value,
            Action.OPEN,
            IncidentState.NONE,
            None,
            None,
            recovered_alert(alerting[-1], success, inputs.job, context.base_url),
            context.silence,
            failures,
            opened_at=min(_end(failures[0]), context.now),
            resolved_at=min(_end(success), context.now),
        )


def _moments(changes: Sequence[IncidentChange], context: EvaluationContext) -> Iterator[datetime]:
    """When the alert of each incident that stays open is due next: at the end of a silence, or by the interval."""
    for change in changes:
        if change.finding is None or not change.finding.alerts:
            continue
        if change.next_state is IncidentState.SILENCED and context.silence is not None:
            yield context.silence.ends_at
        elif change.next_state is IncidentState.NOTIFIED and change.finding.severity is Health.CRITICAL:
            notified_at = change.incident.notified_at if change.incident else None
            # A time in the future was written before the clock was set back.
            last = context.now if change.notifies or notified_at is None else min(notified_at, context.now)
            yield last + context.realert_interval
