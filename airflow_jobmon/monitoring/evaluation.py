"""One judgement: some jobs, locked, and all there is to know of them; decides how they are and records what follows."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.evaluation import Evaluation, EvaluationContext, IncidentChange, JobInputs
from airflow_jobmon.core.model.health import JobFacts, JobHealth, Kind
from airflow_jobmon.core.model.incidents import OpenIncident
from airflow_jobmon.core.model.runs import FAILED, Run
from airflow_jobmon.core.model.silences import Silence, in_force
from airflow_jobmon.core.rules.alert_factory import drill_alert
from airflow_jobmon.core.rules.assess import assess
from airflow_jobmon.core.rules.incident_changes import close_incidents, evaluate_incidents, not_evaluated
from airflow_jobmon.core.rules.lateness import PassedDeadline, late_runs_change, late_starts
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository, RunKey
from airflow_jobmon.postgres.job_state import JobState
from airflow_jobmon.postgres.pipeline import Pending
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A job that the log did not show when we were installed is watched from its first run on."""

BEYOND_RECKONING = (ArithmeticError, ValueError)
"""A log may hold times that no calendar can reckon with."""


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """All that is asked of some jobs, locked, before they are judged; asked in one go."""

    events: Sequence[Run]
    count_window: bool
    states: Pending[dict[str, JobState]]
    facts: facts_of_log.PendingFacts
    incidents: Pending[dict[str, dict[str, OpenIncident]]]
    silences: Pending[list[Silence]]
    uncounted: Pending[set[RunKey]]


def request_inputs(
    repository: IncidentRepository,
    names: Sequence[str],
    *,
    events: Sequence[Run] = (),
    seen: Sequence[datetime | None] | None = None,
    count_window: bool,
) -> EvaluationInputs:
    """Ask for all that is to be known of these jobs; `seen` leaves out those judged since, see `lock_states`."""
    states = cache(repository.lock_states(names, seen))  # first: what is read before the lock may be old
    facts = facts_of_log.request_facts(repository.conn, names, count_window=count_window)
    incidents, silences = repository.open_incidents(names), repository.silences()
    uncounted = cache(repository.uncounted(events))
    repository.ask_installation()
    repository.draw_ids(len({run.job_name for run in events}))
    return EvaluationInputs(events, count_window, states, facts, incidents, silences, uncounted)


def evaluate(
    repository: IncidentRepository,
    settings: Settings,
    asked: EvaluationInputs,
    now: datetime | None,
    *,
    named: bool = False,
) -> tuple[list[JobHealth], int]:
    """Judge these locked jobs at `now` (None: when they were asked for, by the database's clock), and record it.

    Returns the health of those watched, and how many alerts are to be sent.
    """
    states = asked.states().values()
    if not states:
        return [], 0
    now = now or asked.facts.requested_at
    gathered = {state.job.name: facts_of(asked.facts, state) for state in states}
    incidents, silences = asked.incidents(), asked.silences()
    new_failures = _new_failures(repository, asked, gathered.values())
    failures_in_a_row = _failures_in_a_row(repository, states, gathered, new_failures)
    noted = {run.job_name for run in asked.events}
    evaluations: list[Evaluation] = []
    healths: list[JobHealth] = []
    for state in states:
        name = state.job.name
        facts = gathered[name]
        failures, open_ones = new_failures.get(name, []), incidents.get(name, {})
        if not watched(state, settings, named=named):
            evaluations.append(close_incidents(state.job, facts, open_ones, now, uncounted=failures))
            continue
        context = EvaluationContext(
            now,
            repository.installed_at if state.first_seen_at <= repository.installed_at else _ALWAYS,
            state.job.realert_interval or settings.realert_interval,
            settings.base_url,
            in_force(silences, name, now),
            state.found_started_at,
        )
        try:
            health = assess_state(facts, state, settings, now)
            inputs = JobInputs(
                state.job, facts, health, open_ones, failures, name in noted, failures_in_a_row.get(name, {})
            )
            evaluation = evaluate_incidents(inputs, context)
            late = _late_runs(asked.facts.passed_deadline(name), state, settings, inputs, context)
        except BEYOND_RECKONING:
            log.exception("job %.200r cannot be judged; the others are", name)
            evaluations.append(not_evaluated(state.job, facts))
            continue
        evaluations.append(replace(evaluation, changes=[*evaluation.changes, *late]) if late else evaluation)
        healths.append(health)
    channels = partial(channels_of, settings=settings, repository=repository)
    return healths, repository.record(evaluations, channels, now=now, window_counted=asked.count_window)


def facts_of(gathered: facts_of_log.PendingFacts, state: JobState) -> JobFacts:
    facts = gathered.of(state.job, state.known_since, state.scheduled_since, state.learned_schedule, state.window)
    return replace(facts, trends=state.trends) if state.trends else facts


def assess_state(facts: JobFacts, state: JobState, settings: Settings, now: datetime) -> JobHealth:
    return assess(facts, state.job, now=now, registered=state.registered, all_rules=_all_rules(state, settings))


def _all_rules(state: JobState, settings: Settings) -> bool:
    return state.registered or settings.unregistered_jobs == "defaults"


def watched(state: JobState, settings: Settings, *, named: bool = False) -> bool:
    """Not a disabled job, nor an unregistered one where those are ignored, unless it is asked for by name."""
    return state.job.enabled and (state.registered or named or settings.unregistered_jobs != "ignore")


def record_drills(repository: IncidentRepository, settings: Settings, drills: Sequence[Run]) -> int:
    """Tell of simulated failures, each once; returns how many alerts are to be sent."""
    if not drills:
        return 0
    uncounted = repository.uncounted(drills)()
    jobs = {state.job.name: state.job for state in repository.read_states(sorted({run.job_name for run in drills}))}
    alerts: list[AddressedAlert] = []
    for run in drills:
        if (run.job_name, run.id) in uncounted:
            job = jobs[run.job_name]
            # Also in a silence: what it proves is the path.
            alerts.append(
                AddressedAlert(drill_alert(run, job, settings.base_url), None, channels_of(job, settings, repository))
            )
            repository.insert_occurrences([(run, None)])
    return repository.insert_alerts(alerts)


def channels_of(job: MonitoredJob, settings: Settings, repository: IncidentRepository) -> Sequence[str]:
    """Where alerts about a job go: its own channels, else the configured ones and those given as notifiers."""
    if job.channels is not None:
        return job.channels
    return tuple(dict.fromkeys((*settings.channels, *repository.notifier_channels)))


def _new_failures(
    repository: IncidentRepository, asked: EvaluationInputs, gathered: Iterable[JobFacts]
) -> dict[str, list[Run]]:
    """By job, each failed run not counted before that is known of now.

    From events, as the newest finished one, or overlooked: no event told of it, and others came after it.
    """
    from_events = {_key(run): run for run in asked.events if not run.is_drill}
    newest = {
        _key(last): last for facts in gathered if (last := facts.last_finished) is not None and last.status == FAILED
    }
    more = repository.uncounted([run for key, run in newest.items() if key not in from_events])
    uncounted = asked.uncounted() | more()
    found = {key: run for key, run in (from_events | newest).items() if (run.job_name, run.id) in uncounted}
    found |= {_key(run): run for facts in gathered for run in asked.facts.uncounted_failures(facts.job_name)}
    by_job: dict[str, list[Run]] = defaultdict(list)
    for run in found.values():
        by_job[run.job_name].append(run)
    return by_job


def _failures_in_a_row(
    repository: IncidentRepository,
    states: Iterable[JobState],
    gathered: Mapping[str, JobFacts],
    new_failures: Mapping[str, Sequence[Run]],
) -> dict[str, dict[str, int]]:
    """By job and run id, of new failures that are over, which no verdict counts, where it takes several in a row."""
    over = [
        run
        for state in states
        if state.job.failures_to_alert > 1 and (success := gathered[state.job.name].last_success) is not None
        for run in new_failures.get(state.job.name, ())
        if run.started_at <= success.started_at
    ]
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (name, run_id), count in repository.failures_in_a_row(over).items():
        found[name][run_id] = count
    return found


def _key(run: Run) -> tuple[str, str, datetime]:
    return run.job_name, run.id, run.started_at


def _late_runs(
    passed: PassedDeadline | None, state: JobState, settings: Settings, inputs: JobInputs, context: EvaluationContext
) -> list[IncidentChange]:
    """What late runs change: nothing where a run is missed now, or was reported as missed."""
    expects = state.job if _all_rules(state, settings) else state.learned_schedule
    if passed is None or expects is None:
        return []
    if inputs.health.finding(Kind.MISSED) is not None or Kind.MISSED.value in inputs.incidents:
        return []
    change = late_runs_change(late_starts(passed, expects.due_after), state.job, context)
    return [] if change is None else [change]
