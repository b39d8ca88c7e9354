"""The session of one drill: its record in the database, its steps, its waits, and cleaning up after killed drills."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import psycopg

from airflow_jobmon.core.drills.drills import WITHIN, DrillResult, Step, check_drill
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.postgres.drill_sql import run_sql
from airflow_jobmon.postgres.drills import AbandonedDrill, DrillJournal
from airflow_jobmon.postgres.pg_cron import CronJob, put_back
from airflow_jobmon.postgres.simulated_failure import remove_simulated

Connection = psycopg.Connection[Any]
T = TypeVar("T")

_HEARTBEAT_EVERY = 5.0
_PAUSES = (0.02, 0.5)
"""Seconds between polls, first and longest. Measured times come from the database and do not depend on them."""


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """How long a drill waits, and whether it delivers.

    limit_of: how long each channel may take. within: how long the evaluation of the event may take.
    deliver: evaluates and delivers in this process, for setups without a watcher; None leaves it to the watchers.
    """

    limit_of: Callable[[str], timedelta]
    within: timedelta = WITHIN
    deliver: Callable[[], None] | None = None


class Drill:
    """A drill that is running."""

    def __init__(self, conn: Connection, drill: str, job_name: str, options: DrillOptions) -> None:
        check_drill(drill, job_name)
        self.conn, self.drill, self.job_name, self.options = conn, drill, job_name, options
        self.id = uuid4()
        self.journal = DrillJournal(conn, self.id)
        self.began_at = self.journal.begin(drill, job_name)
        self.steps: list[Step] = []
        self.leaves_something = False
        self._beat_at = time.monotonic()

    def add(self, step: str, expected: str, observed: str, *, ok: bool, seconds: float | None = None) -> None:
        self.steps.append(Step(step, expected, observed, ok, seconds))

    def wait(self, poll: Callable[[], T | None], within: timedelta) -> T | None:
        """Poll until something is found; None if nothing is found `within` this time."""
        deadline, pause = time.monotonic() + within.total_seconds(), _PAUSES[0]
        while True:
            if (found := poll()) is not None:
                return found
            if time.monotonic() >= deadline:
                return None
            if self.options.deliver is not None:
                self.options.deliver()
            if time.monotonic() - self._beat_at > _HEARTBEAT_EVERY:
                self.journal.heartbeat()
                self._beat_at = time.monotonic()
            time.sleep(pause)
            pause = min(pause * 1.5, _PAUSES[1])

    def clean_up(self, step: str, remove: Callable[[], str]) -> None:
        """Remove what the drill created; if that fails, add a failed step and leave it to the next drill."""
        try:
            observed = remove()
        except JobmonError as error:
            self.leaves_something = True
            self.add(step, "nothing left behind", str(error), ok=False)
        else:
            self.add(step, "nothing left behind", observed, ok=True)

    @property
    def result(self) -> DrillResult:
        return DrillResult(self.id, self.drill, self.job_name, self.began_at, tuple(self.steps))


@contextmanager
def drill_session(
    conn: Connection, drill: str, job_name: str, options: DrillOptions, *, cleanup_sql: str | None = None
) -> Iterator[Drill]:
    """Run a drill after cleaning up after killed ones; the drill ends with the block, even by an exception."""
    current = Drill(conn, drill, job_name, options)
    completed = False
    try:
        _remove_leftovers(current, cleanup_sql)
        yield current
        completed = True
    finally:
        if not current.leaves_something:
            current.journal.end(current.steps, passed=completed and current.result.passed)


def _remove_leftovers(current: Drill, cleanup_sql: str | None) -> None:
    with current.journal.abandoned(current.job_name if cleanup_sql else None) as found:
        for killed in found:
            try:
                with current.conn.transaction():
                    observed = _undo(current.conn, killed, cleanup_sql)
                    current.journal.close(killed)
            except JobmonError as error:
                current.add("left by a killed drill", "removed", f"{killed.drill} drill {killed.id}: {error}", ok=False)
            else:
                if observed:
                    current.add("left by a killed drill", "removed", observed, ok=True)


def _undo(conn: Connection, killed: AbandonedDrill, cleanup_sql: str | None) -> str:
    """What was removed, in words; empty if nothing was left."""
    done: list[str] = []
    if killed.run_id is not None and remove_simulated(conn, killed.id, killed.job_name, killed.run_id):
        done.append(f"run {killed.run_id} was deleted")
    if killed.cron_job is not None:
        job = CronJob(**killed.cron_job)
        done.append(f"{job} is back in pg_cron" if put_back(conn, job) else f"{job} was already back in pg_cron")
    if killed.test_data is not None and cleanup_sql is not None:
        run_sql(conn, cleanup_sql, killed.test_data, what="cleanup_sql")
        done.append("its test data was removed")
    return f"{killed.drill} drill of {killed.job_name}: {', '.join(done)}" if done else ""
