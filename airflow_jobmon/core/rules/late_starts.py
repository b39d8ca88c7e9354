"""Runs that started after their deadline, before an evaluation: missed and recovered, in one alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.evaluation import EvaluationContext, IncidentChange
from airflow_jobmon.core.model.health import Health, Kind
from airflow_jobmon.core.model.incidents import Action, IncidentState
from airflow_jobmon.core.model.runbook import runbook_section
from airflow_jobmon.core.rules.alert_factory import job_page
from airflow_jobmon.core.times import roughly, to_the_second

MOST_STARTS = 100
"""How many of the newest starts are read."""


@dataclass(frozen=True, slots=True)
class PassedDeadline:
    """A deadline that passed before the job's newest run started.

    starts: of the runs since it was calculated, oldest first; with MOST_STARTS of them, older ones may be missing.
    """

    due_at: datetime
    starts: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class LateStart:
    """A run that started after its deadline."""

    due_at: datetime
    started_at: datetime


def late_starts(passed: PassedDeadline, due_after: Callable[[datetime], datetime]) -> list[LateStart]:
    """Each run that started after the deadline set by the run before it, oldest first."""
    due_at, starts = passed.due_at, passed.starts
    if len(starts) >= MOST_STARTS:
        due_at, starts = due_after(starts[0]), starts[1:]
    late: list[LateStart] = []
    for start in starts:
        if start > due_at:
            late.append(LateStart(due_at, start))
        due_at = due_after(start)
    return late


def late_runs_change(late: Sequence[LateStart], job: MonitoredJob, context: EvaluationContext) -> IncidentChange | None:
    """One incident for all of these runs, opened and resolved at once.

    None where all of them were due before the installation.
    """
    watched = [start for start in late if start.due_at > context.installed_at]
    if not watched:
        return None
    return IncidentChange(
        Kind.MISSED.value,
        Action.OPEN,
        IncidentState.NONE,
        None,
        None,
        _alert(watched, job, context.base_url),
        context.silence,
        opened_at=watched[0].due_at,
        resolved_at=watched[-1].started_at,
    )


def _alert(late: Sequence[LateStart], job: MonitoredJob, base_url: str | None) -> Alert:
    first, last = late[0], late[-1]
    message = f"a run was due by {to_the_second(first.due_at)} and {_started(first)}: missed and recovered"
    facts = [("Due", to_the_second(first.due_at)), ("Started", to_the_second(first.started_at))]
    if len(late) > 1:
        message += (
            f"; {len(late)} runs were late, the last one was due by {to_the_second(last.due_at)} and {_started(last)}"
        )
        facts += [("Late runs", str(len(late))), ("Last one started", to_the_second(last.started_at))]
    return Alert(
        event=AlertEvent.OPENED,
        kind=Kind.MISSED.value,
        job_name=job.name,
        severity=Health.CRITICAL,
        at=first.due_at,
        message=message,
        facts=tuple(facts),
        logs_url=job.logs_url or job_page(base_url, job.name),
        runbook_url=job.runbook_url or runbook_section(base_url, Kind.MISSED),
        recovered=True,
    )


def _started(late: LateStart) -> str:
    return f"started {roughly(late.started_at - late.due_at)} later, at {to_the_second(late.started_at)}"
