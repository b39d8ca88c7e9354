"""Judges jobs: claims events, gathers facts, keeps incidents, and writes alerts, in one transaction each batch.

Any number of judges may run at once: events are claimed with SKIP LOCKED, and a job is judged under the lock of its
row in job_state.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import psycopg

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.core.assess import assess
from airflow_jobmon.core.health import JobFacts, JobHealth
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import FAILED, Run
from airflow_jobmon.core.telling import tell_drill
from airflow_jobmon.core.verdicts import Ruling, rule
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.incidents import IncidentBook, State
from airflow_jobmon.postgres.upkeep import prune
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

_UNSTORABLE = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)

BATCH = 500
"""Jobs, and events, judged in one transaction: short enough to hold no lock for long."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one batch did: events claimed, jobs judged, alerts written."""

    events: int
    jobs: int
    alerts: int


def judge_events(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Judged:
    """Judge the jobs of the oldest events that nobody else has claimed; `events` is 0 when there was none.

    An event that the database cannot take in (a name too long for an index) is dropped with a word in the log, since
    it would hold up all that come after it.
    """
    try:
        return _judge_events(conn, settings, now, limit=BATCH)
    except _UNSTORABLE:
        log.warning("a batch of events cannot be stored; judging them one by one")
    try:
        return _judge_events(conn, settings, now, limit=1)
    except _UNSTORABLE:
        dropped = IncidentBook(conn).claim_events(1)
        log.exception("dropped events that cannot be stored: %.500r", dropped)
        return Judged(len(dropped), 0, 0)


def _judge_events(conn: Connection, settings: Settings, now: datetime | None, *, limit: int) -> Judged:
    with conn.transaction():
        book = IncidentBook(conn)
        events = book.claim_events(limit)
        if not events:
            return Judged(0, 0, 0)
        at = now or datetime.now(UTC)
        drills = [run for run in events if run.is_drill]
        by_job: dict[str, list[Run]] = defaultdict(list)
        for run in events:
            if not run.is_drill:
                by_job[run.job_name].append(run)
        states = book.lock_states({run.job_name for run in events})
        alerts = _tell_drills(book, settings, drills, states)
        judged = _watched((state for name, state in states.items() if name in by_job), settings)
        alerts += _judge(book, settings, judged, by_job, at, count_window=False)[1]
        return Judged(len(events), len(judged), alerts)


def judge_changed(conn: Connection, settings: Settings) -> Judged:
    """Judge every job whose newest runs changed or whose deadline passed since its stored verdict: the sweep."""
    jobs = alerts = 0
    changed = facts_of_log.changed_jobs(conn)
    if settings.unregistered_jobs == "ignore":
        registered = IncidentBook(conn).registered_names()
        changed = [name for name in changed if name in registered]
    for names in _batches(changed):
        with conn.transaction():
            book = IncidentBook(conn)
            states = _watched(book.lock_states(names).values(), settings)
            alerts += _judge(book, settings, states, {}, datetime.now(UTC), count_window=False)[1]
            jobs += len(states)
    return Judged(0, jobs, alerts)


def judge_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> list[JobHealth]:
    """The full check, success rates counted: judges these jobs (default: all) and records incidents and alerts.

    Raises UnknownJob for a name that neither the registry nor the log knows.
    """
    healths: list[JobHealth] = []
    for batch in _batches(_names(conn, settings, names)):
        with conn.transaction():
            book = IncidentBook(conn)
            states = _watched(book.lock_states(batch).values(), settings, named=names is not None)
            healths += _judge(book, settings, states, {}, now or datetime.now(UTC), count_window=True)[0]
    return healths


def check_and_record(conn: Connection, settings: Settings, names: Sequence[str] | None = None) -> list[JobHealth]:
    """What the hourly check does: events first, then every job (or these), then the upkeep of our own tables."""
    while judge_events(conn, settings).events:
        pass
    healths = judge_jobs(conn, settings, names)
    prune(conn)
    return healths


def assess_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, at: datetime | None = None
) -> list[JobHealth]:
    """The same verdicts, read only; `at` judges with today's registry what the log showed then."""
    healths: list[JobHealth] = []
    for batch in _batches(_names(conn, settings, names)):
        states = _watched(IncidentBook(conn).read_states(batch), settings, named=names is not None)
        wanted = [(state.job, _registered(state, settings), state.known_since) for state in states]
        healths += [
            assess(facts, job, now=at or datetime.now(UTC), registered=registered)
            for (job, registered, _), facts in zip(wanted, facts_of_log.gather(conn, wanted, at=at), strict=True)
        ]
    return healths


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(names)
    while batch := list(islice(left, BATCH)):
        yield batch


def _names(conn: Connection, settings: Settings, names: Sequence[str] | None) -> list[str]:
    registered = IncidentBook(conn).registered_names()
    if names is None:
        return sorted(
            registered if settings.unregistered_jobs == "ignore" else registered.union(facts_of_log.job_names(conn))
        )
    known = registered.union(facts_of_log.known_names(conn, names))
    for name in names:
        if name not in known:
            raise UnknownJob(
                f"job {name[:100]!r} is neither registered nor in {settings.jobs_log_table}; "
                "see the names with: airflow jobmon jobs list"
            )
    return sorted(set(names))


def _watched(states: Iterable[State], settings: Settings, *, named: bool = False) -> list[State]:
    """Leaves out disabled jobs, and unregistered ones where they are ignored, unless asked for by name."""
    ignored = settings.unregistered_jobs == "ignore" and not named
    return [state for state in states if state.job.enabled and (state.registered or not ignored)]


def _registered(state: State, settings: Settings) -> bool:
    """Whether all expectations apply; under `defaults`, those of MonitoredJob do to every job."""
    return state.registered or settings.unregistered_jobs == "defaults"


def _judge(
    book: IncidentBook,
    settings: Settings,
    states: Sequence[State],
    events: Mapping[str, Sequence[Run]],
    now: datetime,
    *,
    count_window: bool,
) -> tuple[list[JobHealth], int]:
    """Judge these locked jobs and record what follows: their health, and how many alerts were written."""
    if not states:
        return [], 0
    wanted = [(state.job, _registered(state, settings), state.known_since) for state in states]
    gathered = facts_of_log.gather(book.conn, wanted, count_window=count_window)
    incidents = book.open_incidents([state.job.name for state in states])
    failures = [_failures(events.get(facts.job_name, ()), facts) for facts in gathered]
    new_failures = book.without_known([run for runs in failures for run in runs])
    rulings: list[Ruling] = []
    for state, facts in zip(states, gathered, strict=True):
        job, seen = state.job, facts if count_window else facts.with_window(state.window)
        try:
            health = assess(seen, job, now=now, registered=_registered(state, settings))
            ruling = rule(
                job,
                seen,
                health,
                incidents.get(job.name, {}),
                new_failures.get(job.name, ()),
                now=now,
                installed_at=book.installed_at,
                realert_interval=job.realert_interval or settings.realert_interval,
                base_url=settings.base_url,
            )
        except (ArithmeticError, ValueError):  # a log may hold times that no calendar can reckon with
            log.exception("job %.200r cannot be judged; the others are", job.name)
            continue
        rulings.append(ruling)
    alerts = book.record(rulings, lambda job: channels_of(job, settings, book), now=now, window_counted=count_window)
    return [ruling.health for ruling in rulings], alerts


def _failures(events: Iterable[Run], facts: JobFacts) -> list[Run]:
    """Each failed run known of now, from events or as the newest finished one, once."""
    found = {(run.id, run.started_at): run for run in events}
    last = facts.last_finished
    if last is not None and last.status == FAILED:
        found[last.id, last.started_at] = last
    return list(found.values())


def _tell_drills(book: IncidentBook, settings: Settings, drills: Sequence[Run], states: dict[str, State]) -> int:
    fresh = [run for runs in book.without_known(drills).values() for run in runs]
    alerts: list[tuple[Alert, int | None, Sequence[str] | None]] = [
        (
            tell_drill(run, states[run.job_name].job, settings.base_url),
            None,
            channels_of(states[run.job_name].job, settings, book),
        )
        for run in fresh
    ]
    book.insert_occurrences([(run, None) for run in fresh])
    return book.insert_alerts(alerts)


def channels_of(job: MonitoredJob, settings: Settings, book: IncidentBook) -> Sequence[str]:
    """Where alerts about a job go: its own channels, else the configured ones and those given as notifiers."""
    if job.channels is not None:
        return job.channels
    return tuple(dict.fromkeys((*settings.channels, *book.notifier_channels)))
