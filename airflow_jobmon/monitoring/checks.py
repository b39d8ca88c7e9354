"""Judges jobs: claims events, gathers facts, keeps incidents, and writes alerts, in one transaction each batch.

Any number of judges may run at once: events are claimed with SKIP LOCKED, and a job is judged under the lock of its
row in job_state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import psycopg

from airflow_jobmon.core.model.health import JobHealth
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.monitoring.evaluation import (
    BEYOND_RECKONING,
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
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, Sync, transaction
from airflow_jobmon.postgres.retention import prune
from airflow_jobmon.postgres.sweep import OwedJob, changed_jobs, due_jobs
from airflow_jobmon.postgres.trends import store_trends, with_trends
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

J = TypeVar("J")
T = TypeVar("T")

_UNSTORABLE = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)

_SEALING = timedelta(seconds=2)
"""What the hourly check gives to counting days; the sweeps do most of it."""

BATCH = 500
"""Jobs, and events, judged in one transaction: short enough to hold no lock for long."""

_READ_AT_ONCE = 2000
"""Jobs whose facts are asked for together where nothing is locked: planning the question takes its time too."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one batch did: events claimed, jobs judged, alerts to be sent."""

    events: int
    jobs: int
    alerts: int


def evaluate_events(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Evaluated:
    """Judge the jobs of the oldest events that nobody else has claimed; `events` is 0 when there was none.

    An event that the database cannot take in (a name too long for an index) is dropped with a word in the log, since
    it would hold up all that come after it.
    """
    try:
        return _evaluate_events(conn, settings, now, limit=BATCH)
    except _UNSTORABLE:
        log.warning("a batch of events cannot be stored; judging them one by one")
    try:
        return _evaluate_events(conn, settings, now, limit=1)
    except _UNSTORABLE:
        dropped = IncidentRepository(conn).claim_events(1)
        log.exception("dropped events that cannot be stored: %.500r", dropped)
        return Evaluated(len(dropped), 0, 0)


def _evaluate_events(conn: Connection, settings: Settings, now: datetime | None, *, limit: int) -> Evaluated:
    # Nothing leaves this process because of this transaction before a durable one has followed, and if it never
    # happened then its events are still there: so it need not wait for the disk.
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
        repository = IncidentRepository(conn, sync)
        events = repository.claim_events(limit)
        if not events:
            return Evaluated(0, 0, 0)
        drills = [run for run in events if run.is_drill]
        failed = [run for run in events if not run.is_drill]
        asked = request_inputs(repository, sorted({run.job_name for run in failed}), events=failed, count_window=False)
        alerts = record_drills(repository, settings, drills)
        healths, more = evaluate(repository, settings, asked, now)
        return Evaluated(len(events), len(healths), alerts + more)


def warm_up(conn: Connection) -> None:
    """Ask of no job all that is asked of one that failed, so that the first failure need not wait for plans."""
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
        request_inputs(IncidentRepository(conn, sync), (), count_window=False)


def sweep(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Iterator[Evaluated]:
    """Judge every job whose newest runs changed or whose time has come since its stored verdict, a batch at each step.

    Between steps no lock is held. A job that another judge has judged meanwhile is left out.
    """
    with transaction(conn, PLANNED_ONCE):
        changed = changed_jobs(conn, now=now)
    if settings.unregistered_jobs == "ignore":
        wanted = IncidentRepository(conn).registered_names() | IncidentRepository(conn).names_with_incidents()
        changed = [owed for owed in changed if owed.name in wanted]
    return _evaluate_owed(conn, settings, changed, now)


def evaluate_due(conn: Connection, settings: Settings) -> Evaluated:
    """Judge the jobs whose time has come, at most a batch of them: a look into an index, cheap where there is none."""
    return _sum(_evaluate_owed(conn, settings, due_jobs(conn, BATCH), None))


def evaluate_changed(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Evaluated:
    """A whole sweep at once."""
    return _sum(sweep(conn, settings, now=now))


def _evaluate_owed(
    conn: Connection, settings: Settings, owed: Sequence[OwedJob], now: datetime | None
) -> Iterator[Evaluated]:
    def evaluate_batch(batch: Sequence[OwedJob]) -> Evaluated:
        names, seen = [job.name for job in batch], [job.checked_at for job in batch]
        _learn(conn, settings, names, now or facts_of_log.clock(conn))
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as sync:
            repository = IncidentRepository(conn, sync)
            healths, alerts = evaluate(
                repository, settings, request_inputs(repository, names, seen=seen, count_window=False), now
            )
            return Evaluated(0, len(healths), alerts)

    return _each_batch(owed, evaluate_batch)


def _sum(done: Iterable[Evaluated]) -> Evaluated:
    every = list(done)
    return Evaluated(sum(d.events for d in every), sum(d.jobs for d in every), sum(d.alerts for d in every))


@dataclass(frozen=True, slots=True)
class Checked:
    """What one batch of the full check found, and how many alerts are to be sent for it."""

    healths: Sequence[JobHealth]
    alerts: int


def full_check(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> Iterator[Checked]:
    """Judge these jobs (default: all), success rates counted, and record incidents and alerts; a batch at each step.

    Raises UnknownJob for a name that neither the registry nor the log knows.
    """

    def evaluate_batch(batch: Sequence[str]) -> Checked:
        at = now or facts_of_log.clock(conn)
        _learn(conn, settings, batch, at)
        store_trends(conn, batch, today=at.date(), unregistered=settings.unregistered_jobs == "defaults")
        with transaction(conn, PLANNED_ONCE) as sync:
            repository = IncidentRepository(conn, sync)
            return Checked(
                *evaluate(
                    repository,
                    settings,
                    request_inputs(repository, batch, count_window=True),
                    now,
                    named=names is not None,
                )
            )

    return _each_batch(_names(conn, settings, names), evaluate_batch)


def evaluate_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> list[JobHealth]:
    """The full check at once, as `full_check` makes it."""
    return [health for checked in full_check(conn, settings, names, now=now) for health in checked.healths]


def check_and_record(conn: Connection, settings: Settings, names: Sequence[str] | None = None) -> list[JobHealth]:
    """What the hourly check does: events first, then every job (or these), then the upkeep of our own tables."""
    while evaluate_events(conn, settings).events:
        pass
    healths = evaluate_jobs(conn, settings, names)
    keep_up(conn, full=names is None)
    seal_days(conn, most=_SEALING)
    return healths


def keep_up(conn: Connection, *, full: bool = True) -> None:
    """What follows a check: the retention of our own tables and, where it was a full one (all jobs), a note that it
    was made and the usual durations of jobs.
    """
    if full:
        store_full_check(conn)
        refresh_durations(conn)
    prune(conn)


def assess_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, at: datetime | None = None
) -> list[JobHealth]:
    """The same verdicts, read only; `at` judges with today's registry what the log showed then."""
    names_wanted = _names(conn, settings, names)
    healths: list[JobHealth] = []
    with transaction(conn, PLANNED_ONCE) as sync:
        repository = IncidentRepository(conn)
        asked = (
            (repository.ask_states(batch), facts_of_log.request_facts(conn, batch, at=at))
            for batch in _batches(names_wanted, _READ_AT_ONCE)
        )
        for read, facts in _one_ahead(asked, sync):
            with gc_paused():
                states = [state for state in read() if watched(state, settings, named=names is not None)]
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
        except BEYOND_RECKONING:
            log.exception("job %.200r cannot be judged; the others are", state.job.name)


def _one_ahead(asked: Iterable[T], sync: Sync) -> Iterator[T]:
    """The same questions, each once the next one is asked, so that the database answers that meanwhile.

    Each arrives before the next one is asked: who reads an answer waits for all that was asked until then.
    """
    last: list[T] = []
    for question in asked:
        yield from last
        sync()
        last = [question]
    yield from last


def _learn(conn: Connection, settings: Settings, names: Sequence[str], now: datetime) -> None:
    if settings.unregistered_jobs == "learn":
        learn_schedules(conn, names, now=now)


def _batches(jobs: Iterable[J], size: int = BATCH) -> Iterator[list[J]]:
    left = iter(jobs)
    while batch := list(islice(left, size)):
        yield batch


def _each_batch(jobs: Iterable[J], evaluate_batch: Callable[[Sequence[J]], T]) -> Iterator[T]:
    """Judge in batches; where the database cannot store one, judge its jobs one by one and leave out the culprit."""
    for batch in _batches(jobs):
        try:
            with gc_paused():
                judged = evaluate_batch(batch)
            yield judged
        except _UNSTORABLE:
            for job in batch:
                try:
                    yield evaluate_batch([job])
                except _UNSTORABLE:
                    log.exception("the verdict on %.200r cannot be stored", job)


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
                "see the names with: airflow jobmon check"
            )
