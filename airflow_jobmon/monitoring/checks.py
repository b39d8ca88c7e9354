"""The checks: which jobs are evaluated, by event, sweep or full check, in which batches; one transaction per batch.

Any number of checks may run at once: events are claimed with SKIP LOCKED, and a job is evaluated under the lock of its
row in job_state.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from airflow_jobmon.core.model.health import JobHealth
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.monitoring.batches import BATCH, UNSTORABLE, batches, each_batch, one_ahead
from airflow_jobmon.monitoring.evaluation import (
    INCALCULABLE,
    assess_state,
    evaluate,
    facts_of,
    record_drills,
    request_inputs,
    watched,
)
from airflow_jobmon.monitoring.gc_pause import gc_paused
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.postgres.duration_stats import refresh_durations, store_full_check
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.job_state import JobState
from airflow_jobmon.postgres.learned_schedules import learn_schedules
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction
from airflow_jobmon.postgres.retention import prune
from airflow_jobmon.postgres.sweep import JobToEvaluate, changed_jobs, due_jobs
from airflow_jobmon.postgres.trends import store_trends, with_trends
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

_SEALING_TIME = timedelta(seconds=2)
"""How long the hourly check counts days; the sweeps do most of it."""

_READ_BATCH = 2000
"""Jobs per query where nothing is locked: planning each query takes time too."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one batch did: events claimed, jobs evaluated, alerts to be sent."""

    events: int
    jobs: int
    alerts: int


def evaluate_events(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Evaluated:
    """Evaluate the jobs of the oldest unclaimed events; `events` is 0 when there was none.

    An event that the database cannot store (its name is too long for an index) is logged and dropped, since it would
    block all later ones.
    """
    try:
        return _evaluate_events(conn, settings, now, limit=BATCH)
    except UNSTORABLE:
        log.warning("cannot store a batch of events; evaluating them one by one")
    try:
        return _evaluate_events(conn, settings, now, limit=1)
    except UNSTORABLE:
        dropped = IncidentRepository(conn).claim_events(1)
        log.exception("dropped events that cannot be stored: %.500r", dropped)
        return Evaluated(len(dropped), 0, 0)


def _evaluate_events(conn: Connection, settings: Settings, now: datetime | None, *, limit: int) -> Evaluated:
    # Need not wait for the disk: nothing is sent before a durable transaction has followed, and if this one is lost,
    # its events are still there.
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
        repository = IncidentRepository(conn, sync)
        events = repository.claim_events(limit)
        if not events:
            return Evaluated(0, 0, 0)
        drills = [run for run in events if run.is_drill]
        failed = [run for run in events if not run.is_drill]
        names = sorted({run.job_name for run in failed})
        inputs = request_inputs(repository, names, events=failed, count_window=False)
        alerts = record_drills(repository, settings, drills, inputs.installation)
        healths, more = evaluate(repository, settings, inputs, now)
        return Evaluated(len(events), len(healths), alerts + more)


def warm_up(conn: Connection) -> None:
    """Request the inputs of no jobs, so that the queries are planned before the first failure."""
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
        request_inputs(IncidentRepository(conn, sync), (), count_window=False)


def sweep(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Iterator[Evaluated]:
    """Evaluate every job that is due or whose newest runs changed since its last evaluation, batch by batch.

    No lock is held between batches. A job that was evaluated meanwhile is left out.
    """
    with transaction(conn, PLANNED_ONCE):
        changed = changed_jobs(conn, now=now)
    if settings.unregistered_jobs == "ignore":
        repository = IncidentRepository(conn)
        wanted = repository.registered_names() | repository.names_with_incidents()
        changed = [job for job in changed if job.name in wanted]
    return _evaluate_in_batches(conn, settings, changed, now)


def evaluate_due(conn: Connection, settings: Settings) -> Evaluated:
    """Evaluate the jobs that are due, at most one batch; if none is, this costs one index lookup."""
    return _sum(_evaluate_in_batches(conn, settings, due_jobs(conn, BATCH), None))


def evaluate_changed(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Evaluated:
    """Run a whole sweep."""
    return _sum(sweep(conn, settings, now=now))


def _evaluate_in_batches(
    conn: Connection, settings: Settings, jobs: Sequence[JobToEvaluate], now: datetime | None
) -> Iterator[Evaluated]:
    def evaluate_batch(batch: Sequence[JobToEvaluate]) -> Evaluated:
        names = [job.name for job in batch]
        _learn(conn, settings, names, now or facts_of_log.clock(conn))
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
            repository = IncidentRepository(conn, sync)
            checked_at = [job.checked_at for job in batch]
            inputs = request_inputs(repository, names, checked_at=checked_at, count_window=False)
            healths, alerts = evaluate(repository, settings, inputs, now)
            return Evaluated(0, len(healths), alerts)

    return each_batch(jobs, evaluate_batch)


def _sum(done: Iterable[Evaluated]) -> Evaluated:
    every = list(done)
    return Evaluated(sum(d.events for d in every), sum(d.jobs for d in every), sum(d.alerts for d in every))


@dataclass(frozen=True, slots=True)
class Checked:
    """What one batch of the full check found, and how many alerts are to be sent."""

    healths: Sequence[JobHealth]
    alerts: int


def full_check(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> Iterator[Checked]:
    """Evaluate these jobs (default: all) with their success rates, and record incidents and alerts, batch by batch.

    Raises UnknownJob for a name that neither the registry nor the log knows.
    """

    def evaluate_batch(batch: Sequence[str]) -> Checked:
        at = now or facts_of_log.clock(conn)
        _learn(conn, settings, batch, at)
        store_trends(conn, batch, today=at.date(), unregistered=settings.unregistered_jobs == "defaults")
        with transaction(conn, PLANNED_ONCE) as sync:
            repository = IncidentRepository(conn, sync)
            inputs = request_inputs(repository, batch, count_window=True)
            return Checked(*evaluate(repository, settings, inputs, now, named=names is not None))

    return each_batch(_names(conn, settings, names), evaluate_batch)


def evaluate_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> list[JobHealth]:
    """Run the whole `full_check`."""
    return [health for checked in full_check(conn, settings, names, now=now) for health in checked.healths]


def check_and_record(conn: Connection, settings: Settings, names: Sequence[str] | None = None) -> list[JobHealth]:
    """Run the hourly check: events first, then every job (or these), then the upkeep of our own tables."""
    while evaluate_events(conn, settings).events:
        pass
    healths = evaluate_jobs(conn, settings, names)
    keep_up(conn, full=names is None)
    seal_days(conn, most=_SEALING_TIME)
    return healths


def keep_up(conn: Connection, *, full: bool = True) -> None:
    """Prune our own tables and, after a `full` check (of all jobs), store its time and the usual durations of jobs."""
    if full:
        store_full_check(conn)
        refresh_durations(conn)
    prune(conn)


def assess_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, at: datetime | None = None
) -> list[JobHealth]:
    """Evaluate without recording; `at` applies today's registry to what the log showed then."""
    names_wanted = _names(conn, settings, names)
    healths: list[JobHealth] = []
    with transaction(conn, PLANNED_ONCE) as sync:
        repository = IncidentRepository(conn)
        requests = (
            (repository.request_states(batch), facts_of_log.request_facts(conn, batch, at=at))
            for batch in batches(names_wanted, _READ_BATCH)
        )
        for pending_states, facts in one_ahead(requests, sync):
            with gc_paused():
                states = [state for state in pending_states() if watched(state, settings, named=names is not None)]
                healths += _assess_batch(conn, settings, states, facts, at)
    return healths


def _assess_batch(
    conn: Connection,
    settings: Settings,
    states: Sequence[JobState],
    facts: facts_of_log.PendingFacts,
    at: datetime | None,
) -> Iterator[JobHealth]:
    now = at or facts.requested_at
    unregistered = settings.unregistered_jobs == "defaults"
    for state in with_trends(conn, states, today=now.date(), stored=at is None, unregistered=unregistered):
        try:
            yield assess_state(facts_of(facts, state), state, settings, now)
        except INCALCULABLE:
            log.exception("cannot evaluate job %.200r; the other jobs are evaluated", state.job.name)


def _learn(conn: Connection, settings: Settings, names: Sequence[str], now: datetime) -> None:
    if settings.unregistered_jobs == "learn":
        learn_schedules(conn, names, now=now)


def _names(conn: Connection, settings: Settings, names: Sequence[str] | None) -> list[str]:
    repository = IncidentRepository(conn)
    registered = repository.registered_names()
    if names is None:
        logged = () if settings.unregistered_jobs == "ignore" else facts_of_log.job_names(conn)
        return sorted(registered | repository.names_with_incidents() | set(logged))
    require_known(conn, settings, names, registered=registered)
    return sorted(set(names))


def require_known(
    conn: Connection, settings: Settings, names: Sequence[str], *, registered: set[str] | None = None
) -> None:
    """Raise UnknownJob for a name that neither the registry nor the log knows."""
    known = IncidentRepository(conn).registered_names() if registered is None else registered
    known = known | facts_of_log.known_names(conn, [name for name in names if name not in known])
    for name in names:
        if name not in known:
            raise UnknownJob(
                f"job {name[:100]!r} is neither registered nor in {settings.jobs_log_table}; "
                "list the names with: airflow jobmon check"
            )
