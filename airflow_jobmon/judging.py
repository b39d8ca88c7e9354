"""Judges jobs: claims events, gathers facts, keeps incidents, and writes alerts, in one transaction each batch.

Any number of judges may run at once: events are claimed with SKIP LOCKED, and a job is judged under the lock of its
row in job_state.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any

import psycopg

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.core.assess import assess
from airflow_jobmon.core.health import JobFacts, JobHealth
from airflow_jobmon.core.incidents import OpenIncident
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import FAILED, Run
from airflow_jobmon.core.telling import tell_drill
from airflow_jobmon.core.verdicts import Ruling, rule
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.incidents import IncidentBook, RunKey, State
from airflow_jobmon.postgres.trips import Answer, transaction
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
    # Nothing leaves this process because of this transaction before a durable one has followed, and if it never
    # happened then its events are still there: so it need not wait for the disk.
    with transaction(conn, durable=False):
        book = IncidentBook(conn)
        events = book.claim_events(limit)
        if not events:
            return Judged(0, 0, 0)
        survey = _survey(book, sorted({run.job_name for run in events}), events, count_window=False)
        drills = [run for run in events if run.is_drill]
        alerts = _tell_drills(book, settings, drills, survey)
        failed = {run.job_name for run in events if not run.is_drill}
        judged = [state for state in _watched(survey.states().values(), settings) if state.job.name in failed]
        alerts += _judge(book, settings, judged, survey, now or datetime.now(UTC))[1]
        return Judged(len(events), len(judged), alerts)


def judge_changed(conn: Connection, settings: Settings) -> Judged:
    """Judge every job whose newest runs changed or whose deadline passed since its stored verdict: the sweep."""
    jobs = alerts = 0
    changed = facts_of_log.changed_jobs(conn)
    if settings.unregistered_jobs == "ignore":
        registered = IncidentBook(conn).registered_names()
        changed = [name for name in changed if name in registered]
    for names in _batches(changed):
        with transaction(conn, durable=False):
            book = IncidentBook(conn)
            survey = _survey(book, names, (), count_window=False)
            states = _watched(survey.states().values(), settings)
            alerts += _judge(book, settings, states, survey, datetime.now(UTC))[1]
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
        with transaction(conn):
            book = IncidentBook(conn)
            survey = _survey(book, batch, (), count_window=True)
            states = _watched(survey.states().values(), settings, named=names is not None)
            healths += _judge(book, settings, states, survey, now or datetime.now(UTC))[0]
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
        facts = facts_of_log.gather(conn, [state.job.name for state in states], at=at)
        healths += [
            assess(
                facts.of(state.job, state.known_since),
                state.job,
                now=at or datetime.now(UTC),
                registered=_registered(state, settings),
            )
            for state in states
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


@dataclass(frozen=True, slots=True)
class _Survey:
    """All that is asked of some jobs, locked, before they are judged; asked in one go."""

    events: Sequence[Run]
    count_window: bool
    states: Answer[dict[str, State]]
    facts: facts_of_log.Gathered
    incidents: Answer[dict[str, dict[str, OpenIncident]]]
    uncounted: Answer[set[RunKey]]


def _survey(book: IncidentBook, names: Sequence[str], events: Sequence[Run], *, count_window: bool) -> _Survey:
    states = cache(book.lock_states(names))  # first: what is read before the lock may be old
    facts = facts_of_log.gather(book.conn, names, count_window=count_window)
    incidents, uncounted = book.open_incidents(names), cache(book.uncounted(events))
    book.ask_installation()
    book.draw_ids(len({run.job_name for run in events}))
    return _Survey(events, count_window, states, facts, incidents, uncounted)


def _judge(
    book: IncidentBook, settings: Settings, states: Sequence[State], survey: _Survey, now: datetime
) -> tuple[list[JobHealth], int]:
    """Judge these locked jobs and record what follows: their health, and how many alerts were written."""
    if not states:
        return [], 0
    count_window = survey.count_window
    gathered = [survey.facts.of(state.job, state.known_since) for state in states]
    incidents = survey.incidents()
    new_failures = _new_failures(book, survey, gathered)
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


def _new_failures(book: IncidentBook, survey: _Survey, gathered: Iterable[JobFacts]) -> dict[str, list[Run]]:
    """By job, each failed run not counted before that is known of now: from events, or as the newest finished one."""
    from_events = {(run.job_name, run.id, run.started_at): run for run in survey.events if not run.is_drill}
    newest = {
        (last.job_name, last.id, last.started_at): last
        for facts in gathered
        if (last := facts.last_finished) is not None and last.status == FAILED
    }
    more = book.uncounted([run for key, run in newest.items() if key not in from_events])
    uncounted = survey.uncounted() | more()
    found: dict[str, list[Run]] = defaultdict(list)
    for run in (from_events | newest).values():
        if (run.job_name, run.id) in uncounted:
            found[run.job_name].append(run)
    return found


def _tell_drills(book: IncidentBook, settings: Settings, drills: Sequence[Run], survey: _Survey) -> int:
    if not drills:
        return 0
    fresh = [run for run in drills if (run.job_name, run.id) in survey.uncounted()]
    jobs = {name: state.job for name, state in survey.states().items()}
    alerts: list[tuple[Alert, int | None, Sequence[str] | None]] = [
        (
            tell_drill(run, jobs[run.job_name], settings.base_url),
            None,
            channels_of(jobs[run.job_name], settings, book),
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
