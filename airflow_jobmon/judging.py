"""Judges jobs: claims events, gathers facts, keeps incidents, and writes alerts, in one transaction each batch.

Any number of judges may run at once: events are claimed with SKIP LOCKED, and a job is judged under the lock of its
row in job_state.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import islice
from typing import Any, TypeVar

import psycopg

from airflow_jobmon.core.assess import assess
from airflow_jobmon.core.health import JobFacts, JobHealth
from airflow_jobmon.core.incidents import OpenIncident
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import FAILED, Run
from airflow_jobmon.core.silences import Silence, in_force
from airflow_jobmon.core.telling import tell_drill
from airflow_jobmon.core.verdicts import Circumstances, Ruling, retire, rule
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.postgres import facts as facts_of_log
from airflow_jobmon.postgres.days import seal_days
from airflow_jobmon.postgres.incidents import Addressed, IncidentBook, RunKey, State
from airflow_jobmon.postgres.rhythms import learn_rhythms
from airflow_jobmon.postgres.sweep import changed_jobs
from airflow_jobmon.postgres.trips import NOT_DURABLE, PLANNED_ONCE, Answer, transaction
from airflow_jobmon.postgres.upkeep import prune
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

T = TypeVar("T")

_BEYOND_RECKONING = (ArithmeticError, ValueError)
"""A log may hold times that no calendar can reckon with."""

_UNSTORABLE = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)

_SEALING = timedelta(seconds=2)
"""What the hourly check gives to counting days; the sweeps do most of it."""

BATCH = 500
"""Jobs, and events, judged in one transaction: short enough to hold no lock for long."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one batch did: events claimed, jobs judged, alerts to be sent."""

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
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as arrive:
        book = IncidentBook(conn, arrive)
        events = book.claim_events(limit)
        if not events:
            return Judged(0, 0, 0)
        drills = [run for run in events if run.is_drill]
        failed = [run for run in events if not run.is_drill]
        survey = _survey(book, sorted({run.job_name for run in failed}), failed, count_window=False)
        alerts = _tell_drills(book, settings, drills)
        healths, more = _judge(book, settings, survey, now or datetime.now(UTC))
        return Judged(len(events), len(healths), alerts + more)


def judge_changed(conn: Connection, settings: Settings, *, now: datetime | None = None) -> Judged:
    """Judge every job whose newest runs changed or whose time has come since its stored verdict: the sweep."""
    with transaction(conn, PLANNED_ONCE):
        changed = changed_jobs(conn, now=now)
    if settings.unregistered_jobs == "ignore":
        wanted = IncidentBook(conn).registered_names() | IncidentBook(conn).names_with_incidents()
        changed = [name for name in changed if name in wanted]

    def judge(names: Sequence[str]) -> tuple[int, int]:
        _learn(conn, settings, names, now or datetime.now(UTC))
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE) as arrive:
            book = IncidentBook(conn, arrive)
            healths, alerts = _judge(
                book, settings, _survey(book, names, (), count_window=False), now or datetime.now(UTC)
            )
            return len(healths), alerts

    done = list(_each_batch(changed, judge))
    return Judged(0, sum(jobs for jobs, _ in done), sum(alerts for _, alerts in done))


def judge_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, now: datetime | None = None
) -> list[JobHealth]:
    """The full check, success rates counted: judges these jobs (default: all) and records incidents and alerts.

    Raises UnknownJob for a name that neither the registry nor the log knows.
    """

    def judge(batch: Sequence[str]) -> list[JobHealth]:
        _learn(conn, settings, batch, now or datetime.now(UTC))
        with transaction(conn) as arrive:
            book = IncidentBook(conn, arrive)
            survey = _survey(book, batch, (), count_window=True)
            return _judge(book, settings, survey, now or datetime.now(UTC), named=names is not None)[0]

    return [health for healths in _each_batch(_names(conn, settings, names), judge) for health in healths]


def check_and_record(conn: Connection, settings: Settings, names: Sequence[str] | None = None) -> list[JobHealth]:
    """What the hourly check does: events first, then every job (or these), then the upkeep of our own tables."""
    while judge_events(conn, settings).events:
        pass
    healths = judge_jobs(conn, settings, names)
    prune(conn)
    seal_days(conn, most=_SEALING)
    return healths


def assess_jobs(
    conn: Connection, settings: Settings, names: Sequence[str] | None = None, *, at: datetime | None = None
) -> list[JobHealth]:
    """The same verdicts, read only; `at` judges with today's registry what the log showed then."""
    healths: list[JobHealth] = []
    for batch in _batches(_names(conn, settings, names)):
        states = IncidentBook(conn).read_states(batch)
        watched = [state for state in states if _watched(state, settings, named=names is not None)]
        with transaction(conn, PLANNED_ONCE):
            facts = facts_of_log.gather(conn, [state.job.name for state in watched], at=at)
        for state in watched:
            try:
                seen = _seen(facts, state)
                healths.append(_assess(seen, state, settings, at or datetime.now(UTC)))
            except _BEYOND_RECKONING:
                log.exception("job %.200r cannot be judged; the others are", state.job.name)
    return healths


def _learn(conn: Connection, settings: Settings, names: Sequence[str], now: datetime) -> None:
    if settings.unregistered_jobs == "learn":
        learn_rhythms(conn, names, now=now)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(names)
    while batch := list(islice(left, BATCH)):
        yield batch


def _each_batch(names: Iterable[str], judge: Callable[[Sequence[str]], T]) -> Iterator[T]:
    """Judge in batches; where the database cannot store one, judge its jobs one by one and leave out the culprit."""
    for batch in _batches(names):
        try:
            yield judge(batch)
        except _UNSTORABLE:
            for name in batch:
                try:
                    yield judge([name])
                except _UNSTORABLE:
                    log.exception("the verdict on job %.200r cannot be stored", name)


def _names(conn: Connection, settings: Settings, names: Sequence[str] | None) -> list[str]:
    book = IncidentBook(conn)
    registered = book.registered_names()
    if names is None:
        logged = () if settings.unregistered_jobs == "ignore" else facts_of_log.job_names(conn)
        return sorted(registered | book.names_with_incidents() | set(logged))
    require_known(conn, settings, names, registered=registered)
    return sorted(set(names))


def require_known(
    conn: Connection, settings: Settings, names: Sequence[str], *, registered: set[str] | None = None
) -> None:
    """Raise UnknownJob for a name that neither the registry nor the log knows."""
    known = IncidentBook(conn).registered_names() if registered is None else registered
    known = known | facts_of_log.known_names(conn, [name for name in names if name not in known])
    for name in names:
        if name not in known:
            raise UnknownJob(
                f"job {name[:100]!r} is neither registered nor in {settings.jobs_log_table}; "
                "see the names with: airflow jobmon jobs list"
            )


def _watched(state: State, settings: Settings, *, named: bool = False) -> bool:
    """Not a disabled job, nor an unregistered one where those are ignored, unless it is asked for by name."""
    return state.job.enabled and (state.registered or named or settings.unregistered_jobs != "ignore")


def _seen(facts: facts_of_log.Gathered, state: State) -> JobFacts:
    return facts.of(state.job, state.known_since, state.scheduled_since, state.rhythm)


def _assess(facts: JobFacts, state: State, settings: Settings, now: datetime) -> JobHealth:
    defaults = settings.unregistered_jobs == "defaults"
    return assess(facts, state.job, now=now, registered=state.registered, all_rules=state.registered or defaults)


@dataclass(frozen=True, slots=True)
class _Survey:
    """All that is asked of some jobs, locked, before they are judged; asked in one go."""

    events: Sequence[Run]
    count_window: bool
    states: Answer[dict[str, State]]
    facts: facts_of_log.Gathered
    incidents: Answer[dict[str, dict[str, OpenIncident]]]
    silences: Answer[list[Silence]]
    uncounted: Answer[set[RunKey]]


def _survey(book: IncidentBook, names: Sequence[str], events: Sequence[Run], *, count_window: bool) -> _Survey:
    states = cache(book.lock_states(names))  # first: what is read before the lock may be old
    facts = facts_of_log.gather(book.conn, names, count_window=count_window)
    incidents, silences = book.open_incidents(names), book.silences()
    uncounted = cache(book.uncounted(events))
    book.ask_installation()
    book.draw_ids(len({run.job_name for run in events}))
    return _Survey(events, count_window, states, facts, incidents, silences, uncounted)


def _judge(
    book: IncidentBook, settings: Settings, survey: _Survey, now: datetime, *, named: bool = False
) -> tuple[list[JobHealth], int]:
    """Judge these locked jobs and record what follows: the health of those watched, and how many alerts came of it."""
    states = survey.states().values()
    if not states:
        return [], 0
    gathered = {state.job.name: _seen(survey.facts, state) for state in states}
    incidents, silences = survey.incidents(), survey.silences()
    new_failures = _new_failures(book, survey, gathered.values())
    noted = {run.job_name for run in survey.events}
    rulings: list[Ruling] = []
    healths: list[JobHealth] = []
    for state in states:
        name = state.job.name
        facts = gathered[name] if survey.count_window else gathered[name].with_window(state.window)
        if not _watched(state, settings, named=named):
            rulings.append(retire(state.job, facts, incidents.get(name, {}), now))
            continue
        given = Circumstances(
            now,
            book.installed_at,
            state.job.realert_interval or settings.realert_interval,
            settings.base_url,
            in_force(silences, name, now),
        )
        try:
            health = _assess(facts, state, settings, now)
            ruling = rule(
                state.job,
                facts,
                health,
                incidents.get(name, {}),
                new_failures.get(name, ()),
                noted=name in noted,
                given=given,
            )
        except _BEYOND_RECKONING:
            log.exception("job %.200r cannot be judged; the others are", name)
            continue
        rulings.append(ruling)
        healths.append(health)
    channels = partial(channels_of, settings=settings, book=book)
    return healths, book.record(rulings, channels, now=now, window_counted=survey.count_window)


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


def _tell_drills(book: IncidentBook, settings: Settings, drills: Sequence[Run]) -> int:
    if not drills:
        return 0
    uncounted = book.uncounted(drills)()
    jobs = {state.job.name: state.job for state in book.read_states(sorted({run.job_name for run in drills}))}
    alerts: list[Addressed] = []
    for run in drills:
        if (run.job_name, run.id) in uncounted:
            job = jobs[run.job_name]
            # Also in a silence: what it proves is the path.
            alerts.append(Addressed(tell_drill(run, job, settings.base_url), None, channels_of(job, settings, book)))
            book.insert_occurrences([(run, None)])
    return book.insert_alerts(alerts)


def channels_of(job: MonitoredJob, settings: Settings, book: IncidentBook) -> Sequence[str]:
    """Where alerts about a job go: its own channels, else the configured ones and those given as notifiers."""
    if job.channels is not None:
        return job.channels
    return tuple(dict.fromkeys((*settings.channels, *book.notifier_channels)))
