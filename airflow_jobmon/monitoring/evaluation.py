"""Evaluates one batch of jobs, locked: reads what is known of them, decides, and records what follows."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.evaluation import Evaluation, EvaluationContext, IncidentChange, JobInputs
from airflow_jobmon.core.model.health import JobFacts, JobHealth, Kind
from airflow_jobmon.core.model.incidents import OpenIncident
from airflow_jobmon.core.model.runs import FAILED, Run
from airflow_jobmon.core.model.silences import Silence, in_force
from airflow_jobmon.core.rules.alert_factory import drill_alert
from airflow_jobmon.core.rules.assess import assess
from airflow_jobmon.core.rules.incident_changes import close_incidents, evaluate_incidents, not_evaluated
from airflow_jobmon.core.rules.late_starts import PassedDeadline, late_runs_change, late_starts
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository, Installation, Occurrence, RunKey
from airflow_jobmon.postgres.job_state import JobState
from airflow_jobmon.postgres.pipeline import Pending
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A job that the log did not show at the installation has no pre-existing findings."""

INCALCULABLE = (ArithmeticError, ValueError)
"""Raised for a log that holds times which no calendar can calculate with."""


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """What the evaluation of some jobs reads; requested together, and pending until it is called."""

    events: Sequence[Run]
    count_window: bool
    states: Pending[dict[str, JobState]]
    facts: facts_of_log.PendingFacts
    incidents: Pending[dict[str, dict[str, OpenIncident]]]
    silences: Pending[list[Silence]]
    uncounted: Pending[set[RunKey]]
    installation: Pending[Installation]
    incident_ids: Pending[list[int]]


def request_inputs(
    repository: IncidentRepository,
    names: Sequence[str],
    *,
    events: Sequence[Run] = (),
    checked_at: Sequence[datetime | None] | None = None,
    count_window: bool,
) -> EvaluationInputs:
    """Lock these jobs and request what their evaluation reads; `checked_at` leaves out those evaluated since then."""
    return EvaluationInputs(
        events=events,
        count_window=count_window,
        states=repository.lock_states(names, checked_at),  # first: what is read before the lock may be outdated
        facts=facts_of_log.request_facts(repository.conn, names, count_window=count_window),
        incidents=repository.request_open_incidents(names),
        silences=repository.request_silences(),
        uncounted=repository.request_uncounted(events),
        installation=repository.request_installation(),
        incident_ids=repository.request_incident_ids(len({run.job_name for run in events})),
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """The inputs of a batch as they were read, and its time."""

    now: datetime
    settings: Settings
    installation: Installation
    facts: Mapping[str, JobFacts]
    passed: Mapping[str, PassedDeadline | None]
    incidents: Mapping[str, Mapping[str, OpenIncident]]
    silences: Sequence[Silence]
    new_failures: Mapping[str, Sequence[Run]]
    failures_in_a_row: Mapping[str, Mapping[str, int]]
    jobs_with_events: Collection[str]


def evaluate(
    repository: IncidentRepository,
    settings: Settings,
    inputs: EvaluationInputs,
    now: datetime | None,
    *,
    named: bool = False,
) -> tuple[list[JobHealth], int]:
    """Evaluate these locked jobs at `now` (None: when the inputs were requested, by the database's clock); record it.

    Returns the health of those that are watched, and how many alerts are to be sent.
    """
    states = inputs.states()
    if not states:
        return [], 0
    batch = _read(repository, settings, inputs, states, now)
    evaluations: list[Evaluation] = []
    healths: list[JobHealth] = []
    for name, state in states.items():
        facts = batch.facts[name]
        if not watched(state, settings, named=named):
            incidents, failures = batch.incidents.get(name, {}), batch.new_failures.get(name, ())
            evaluations.append(close_incidents(state.job, facts, incidents, batch.now, uncounted=failures))
            continue
        try:
            evaluation = _evaluate_job(batch, state, facts)
        except INCALCULABLE:
            log.exception("cannot evaluate job %.200r; the other jobs are evaluated", name)
            evaluations.append(not_evaluated(state.job, facts))
            continue
        evaluations.append(evaluation)
        healths.append(evaluation.health)
    to_send = repository.record(
        evaluations,
        lambda job: channels_of(job, settings, batch.installation),
        incident_ids=inputs.incident_ids(),
        now=batch.now,
        window_counted=inputs.count_window,
    )
    return healths, to_send


def _read(
    repository: IncidentRepository,
    settings: Settings,
    inputs: EvaluationInputs,
    states: Mapping[str, JobState],
    now: datetime | None,
) -> _Batch:
    facts = {name: facts_of(inputs.facts, state) for name, state in states.items()}
    new_failures = _new_failures(repository, inputs, facts.values())
    return _Batch(
        now=now or inputs.facts.requested_at,
        settings=settings,
        installation=inputs.installation(),
        facts=facts,
        passed={name: inputs.facts.passed_deadline(name) for name in states},
        incidents=inputs.incidents(),
        silences=inputs.silences(),
        new_failures=new_failures,
        failures_in_a_row=repository.failures_in_a_row(_recovered_failures(states, facts, new_failures)),
        jobs_with_events={run.job_name for run in inputs.events},
    )


def _evaluate_job(batch: _Batch, state: JobState, facts: JobFacts) -> Evaluation:
    name, settings = state.job.name, batch.settings
    context = EvaluationContext(
        now=batch.now,
        installed_at=_installed_at(batch.installation, state),
        realert_interval=state.job.realert_interval or settings.realert_interval,
        base_url=settings.base_url,
        silence=in_force(batch.silences, name, batch.now),
        newest_start_at_installation=state.found_started_at,
    )
    inputs = JobInputs(
        job=state.job,
        facts=facts,
        health=assess_state(facts, state, settings, batch.now),
        incidents=batch.incidents.get(name, {}),
        new_failures=batch.new_failures.get(name, ()),
        has_event=name in batch.jobs_with_events,
        failures_in_a_row=batch.failures_in_a_row.get(name, {}),
    )
    evaluation = evaluate_incidents(inputs, context)
    late = _late_runs(batch.passed[name], state, settings, inputs, context)
    return evaluation if late is None else replace(evaluation, changes=[*evaluation.changes, late])


def _installed_at(installation: Installation, state: JobState) -> datetime:
    return installation.installed_at if state.first_seen_at <= installation.installed_at else _ALWAYS


def _late_runs(
    passed: PassedDeadline | None, state: JobState, settings: Settings, inputs: JobInputs, context: EvaluationContext
) -> IncidentChange | None:
    """What late runs change: nothing while a run is missed, or where one was reported as missed."""
    expects = state.job if _all_rules(state, settings) else state.learned_schedule
    if passed is None or expects is None:
        return None
    if inputs.health.finding(Kind.MISSED) is not None or Kind.MISSED.value in inputs.incidents:
        return None
    return late_runs_change(late_starts(passed, expects.due_after), state.job, context)


def facts_of(facts: facts_of_log.PendingFacts, state: JobState) -> JobFacts:
    found = facts.of(state.job, state.known_since, state.scheduled_since, state.learned_schedule, state.window)
    return replace(found, trends=state.trends) if state.trends else found


def assess_state(facts: JobFacts, state: JobState, settings: Settings, now: datetime) -> JobHealth:
    return assess(facts, state.job, now=now, registered=state.registered, all_rules=_all_rules(state, settings))


def _all_rules(state: JobState, settings: Settings) -> bool:
    return state.registered or settings.unregistered_jobs == "defaults"


def watched(state: JobState, settings: Settings, *, named: bool = False) -> bool:
    """Whether the job is enabled, and registered unless unregistered jobs are watched or it was asked for by name."""
    return state.job.enabled and (state.registered or named or settings.unregistered_jobs != "ignore")


def record_drills(
    repository: IncidentRepository, settings: Settings, drills: Sequence[Run], installation: Pending[Installation]
) -> int:
    """Record an alert for each simulated failure not counted before; returns how many alerts are to be sent.

    A silence does not hold them back, since a drill tests the delivery.
    """
    if not drills:
        return 0
    uncounted = repository.request_uncounted(drills)()
    jobs = {state.job.name: state.job for state in repository.request_states(sorted({d.job_name for d in drills}))()}
    alerts: list[AddressedAlert] = []
    for run in drills:
        if (run.job_name, run.id) in uncounted:
            job = jobs[run.job_name]
            channels = channels_of(job, settings, installation())
            alerts.append(AddressedAlert(drill_alert(run, job, settings.base_url), None, channels))
            repository.insert_occurrences([Occurrence(run, None)])
    return repository.insert_alerts(alerts)


def channels_of(job: MonitoredJob, settings: Settings, installation: Installation) -> Sequence[str]:
    """Where alerts about a job go: its own channels, else the configured ones and those given as notifiers."""
    if job.channels is not None:
        return job.channels
    return tuple(dict.fromkeys((*settings.channels, *installation.notifier_channels)))


def _new_failures(
    repository: IncidentRepository, inputs: EvaluationInputs, facts: Collection[JobFacts]
) -> dict[str, list[Run]]:
    """Each known failed run that was not counted before, by job.

    It comes from an event, is the job's newest finished run, or has no event and is older.
    """
    from_events = {_key(run): run for run in inputs.events}
    newest = {_key(last): last for one in facts if (last := one.last_finished) is not None and last.status == FAILED}
    more = repository.request_uncounted([run for key, run in newest.items() if key not in from_events])
    uncounted = inputs.uncounted() | more()
    found = {key: run for key, run in (from_events | newest).items() if (run.job_name, run.id) in uncounted}
    found |= {_key(run): run for one in facts for run in inputs.facts.uncounted_failures(one.job_name)}
    by_job: dict[str, list[Run]] = defaultdict(list)
    for run in found.values():
        by_job[run.job_name].append(run)
    return by_job


def _recovered_failures(
    states: Mapping[str, JobState], facts: Mapping[str, JobFacts], new_failures: Mapping[str, Sequence[Run]]
) -> list[Run]:
    """New failures that a success followed, of jobs that alert only after several failures in a row."""
    return [
        run
        for name, state in states.items()
        if state.job.failures_to_alert > 1 and (success := facts[name].last_success) is not None
        for run in new_failures.get(name, ())
        if run.started_at <= success.started_at
    ]


def _key(run: Run) -> tuple[str, str, datetime]:
    return run.job_name, run.id, run.started_at
