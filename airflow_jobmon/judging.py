"""Judges jobs: claims events, gathers facts, keeps incidents, and writes alerts, in one transaction each batch.

Any number of judges may run at once: events are claimed with SKIP LOCKED, and a job is judged under the lock of its
row in job_state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.core.assess import assess
from airflow_jobmon.core.health import JobFacts, JobHealth
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import FAILED, Run
from airflow_jobmon.core.telling import tell_drill
from airflow_jobmon.core.verdicts import Ruling, rule
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.postgres import facts as log
from airflow_jobmon.postgres.incidents import IncidentBook, State
from airflow_jobmon.settings import Settings

Connection = log.Connection

BATCH = 500
"""Jobs, and events, judged in one transaction: short enough to hold no lock for long."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one batch did: events claimed, jobs judged, alerts written."""

    events: int
    jobs: int
    alerts: int


def judge_events(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Judged:
    """Judge the jobs of the oldest events that nobody else has claimed; `events` is 0 when there was none."""
    with conn.transaction():
        book = IncidentBook(conn)
        events = book.claim_events(BATCH)
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
        judged = [state for name, state in states.items() if name in by_job]
        alerts += _judge(book, settings, judged, by_job, at, count_window=False)
        return Judged(len(events), len(judged), alerts)


def judge_changed(conn: Connection, settings: Settings) -> Judged:
    """Judge every job whose newest runs changed or whose deadline passed since its stored verdict: the sweep."""
    jobs = alerts = 0
    for names in _batches(log.changed_jobs(conn)):
        with conn.transaction():
            book = IncidentBook(conn)
            states = _watched(book.lock_states(names).values(), settings)
            alerts += _judge(book, settings, states, {}, datetime.now(UTC), count_window=False)
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
            _judge(book, settings, states, {}, now or datetime.now(UTC), count_window=True, into=healths)
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
            for (job, registered, _), facts in zip(wanted, log.gather(conn, wanted, at=at), strict=True)
        ]
    return healths


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(names)
    while batch := list(islice(left, BATCH)):
        yield batch


def _names(conn: Connection, settings: Settings, names: Sequence[str] | None) -> list[str]:
    registered = IncidentBook(conn).registered_names()
    if names is None:
        return sorted(registered if settings.unregistered_jobs == "ignore" else registered.union(log.job_names(conn)))
    known = registered.union(log.known_names(conn, names))
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
    events: dict[str, list[Run]],
    now: datetime,
    *,
    count_window: bool,
    into: list[JobHealth] | None = None,
) -> int:
    if not states:
        return 0
    wanted = [(state.job, _registered(state, settings), state.known_since) for state in states]
    gathered = log.gather(book.conn, wanted, count_window=count_window)
    incidents = book.open_incidents([state.job.name for state in states])
    failures = {
        state.job.name: _failures(events.get(state.job.name, ()), facts)
        for state, facts in zip(states, gathered, strict=True)
    }
    new_failures = book.without_known([run for runs in failures.values() for run in runs])
    rulings: list[Ruling] = []
    for (job, registered, _), state, facts in zip(wanted, states, gathered, strict=True):
        seen = facts if count_window else facts.with_window(state.window)
        health = assess(seen, job, now=now, registered=registered)
        if into is not None:
            into.append(health)
        rulings.append(
            rule(
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
        )
    return book.record(rulings, lambda job: channels_of(job, settings, book), now=now, window_counted=count_window)


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
