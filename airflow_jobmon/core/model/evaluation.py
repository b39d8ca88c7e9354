"""What the evaluation of one job reads, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.health import Finding, JobFacts, JobHealth
from airflow_jobmon.core.model.incidents import Action, IncidentState, OpenIncident
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What an evaluation depends on besides the job: the time, the configuration, the silence in force.

    installed_at: findings from before it are pre-existing; the earliest possible time for a job that was not in the log
    then.
    newest_start_at_installation: when the job's newest run of that time started; None counts every run before
    `installed_at`.
    """

    now: datetime
    installed_at: datetime
    realert_interval: timedelta
    base_url: str | None
    silence: Silence | None = None
    newest_start_at_installation: datetime | None = None

    def predates_installation(self, at: datetime, run: Run | None) -> bool:
        """Whether the log already showed at the installation what happened `at` by this run (None: by no run)."""
        if at > self.installed_at:
            return False
        newest_start = self.newest_start_at_installation
        return run is None or newest_start is None or run.started_at <= newest_start


@dataclass(frozen=True, slots=True)
class JobInputs:
    """What the evaluation of one job's incidents reads.

    incidents: the open ones, by kind. new_failures: failed runs not counted before. has_event: an event reported one of
    them. failures_in_a_row: by run id, how many runs in a row had failed up to that one; 1 where it is not listed.
    """

    job: MonitoredJob
    facts: JobFacts
    health: JobHealth
    incidents: Mapping[str, OpenIncident]
    new_failures: Sequence[Run] = ()
    has_event: bool = False
    failures_in_a_row: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One change to one incident, with the alert to create.

    silence: holds the alert back, so that it is recorded and not sent. finding: set when the incident opens or stays
    open. resolved_at: set when it ends; opened_at too when it was over before anyone was notified. failures: the failed
    runs that it counts now.
    """

    kind: str
    action: Action
    next_state: IncidentState
    incident: OpenIncident | None
    finding: Finding | None
    alert: Alert | None
    silence: Silence | None = None
    failures: Sequence[Run] = ()
    opened_at: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def notifies(self) -> bool:
        """Whether an alert is sent now."""
        return self.alert is not None and self.silence is None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The health of one job and everything that follows from it.

    uncounted: failed runs that belong to no incident. next_evaluation_at: the next time at which time alone may change
    something: the health, the repetition of an open incident's alert, or the end of a silence over it.
    """

    job: MonitoredJob
    facts: JobFacts
    health: JobHealth
    changes: Sequence[IncidentChange]
    uncounted: Sequence[Run] = ()
    next_evaluation_at: datetime | None = None
