"""One connection for everything that waits in an event loop, however many wait.

A triggerer may hold a thousand deferred sensors. They ask the hub of their connection id, which looks all of them up in
one query each half second. The question is asked anew each time, so nothing is lost when the connection is.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.core.times import roughly
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.waiting.subscriptions import Announcement, RunBoard, SuccessBoard

log = logging.getLogger(__name__)

Resolve = Callable[[str], Awaitable[str]]
"""From a connection id to its libpq conninfo; asked again at each connect, since passwords rotate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the hub spends its time, in seconds.

    refused_for, away_for: how long a server that was never reached may refuse us, or be away, before the waits fail.
    One that was reached before is waited for without end: each wait has its own timeout.
    quiet: see SuccessBoard.
    """

    look_every: float = 0.5
    gather_joiners: float = 0.02
    look_timeout: float = 30.0
    connect_timeout: float = 30.0
    first_retry: float = 0.2
    longest_retry: float = 15.0
    refused_for: float = 5.0
    away_for: float = 300.0
    quiet: float = 5.0


_PACE = Pace()
_hubs: dict[tuple[asyncio.AbstractEventLoop, str], Hub] = {}


async def wait_for_run(wait: Wait, *, conn_id: str, resolve: Resolve, pace: Pace = _PACE) -> Run:
    """The run that ends this wait, however long that takes.

    Raises a JobmonError of one line where the database cannot be reached or read to begin with.
    """
    hub = _hub(conn_id, resolve, pace)
    answer = hub.runs.join(wait)
    hub.stir()
    try:
        return await answer
    finally:
        hub.runs.leave(wait, answer)
        hub.stir()


async def new_successes(
    job_name: str, *, conn_id: str, resolve: Resolve, pace: Pace = _PACE
) -> AsyncGenerator[Announcement, None]:
    """Each success of a job as it comes, several at once as one; raises as `wait_for_run` does."""
    hub = _hub(conn_id, resolve, pace)
    watch = hub.successes.join(job_name)
    hub.stir()
    try:
        while True:
            yield await watch.next()
    finally:
        hub.successes.leave(watch)
        hub.stir()


def _hub(conn_id: str, resolve: Resolve, pace: Pace) -> Hub:
    key = (asyncio.get_running_loop(), conn_id)
    if (hub := _hubs.get(key)) is None:
        hub = _hubs[key] = Hub(conn_id, resolve, pace)
        hub.start()
    return hub


class Hub:
    """The task that looks things up; it ends when nobody waits any more."""

    def __init__(self, conn_id: str, resolve: Resolve, pace: Pace) -> None:
        self.runs = RunBoard()
        self.successes = SuccessBoard(pace.quiet)
        self._conn_id = conn_id
        self._resolve = resolve
        self._pace = pace
        self._stirred = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        # An empty context: in the first waiter's, everything the hub logs would go to that one task's log.
        self._task = self._loop.create_task(self._serve(), name=f"jobmon hub {self._conn_id}", context=Context())

    def stir(self) -> None:
        """Somebody joined or left."""
        self._stirred.set()

    @property
    def _asked(self) -> bool:
        return bool(self.runs) or bool(self.successes)

    async def _serve(self) -> None:
        failure: Exception = JobmonError("the wait was stopped together with its event loop")
        conn: Any = None
        try:
            # 0.3 s of imports that must not stop the loop, and must come before `resolve`, which needs them too.
            database = await asyncio.to_thread(importlib.import_module, "airflow_jobmon.postgres.waits")
            outage = _Outage(self._conn_id, self._pace, self._loop.time)
            while self._asked:
                try:
                    if conn is None:
                        conn = await self._connect(database)
                    async with asyncio.timeout(self._pace.look_timeout):
                        await self.runs.look(conn, database)
                        await self.successes.look(conn, database, self._loop.time())
                except database.TROUBLE as error:
                    await _closed(conn)
                    conn = None
                    pause = outage.retry_in(database.explained(error), refused=database.is_refusal(error))
                    await self._pause(pause, joiners_end_it=False)
                else:
                    outage.over()
                    await self._pause(self._pace.look_every, joiners_end_it=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            failure = error
        finally:
            # No await between seeing that nobody asks and this: who joins from now on gets a new hub.
            del _hubs[self._loop, self._conn_id]
            self.runs.fail(failure)
            self.successes.fail(failure)
            await _closed(conn)

    async def _connect(self, database: Any) -> Any:
        async with asyncio.timeout(self._pace.connect_timeout):
            return await database.aconnect(await self._resolve(self._conn_id))

    async def _pause(self, seconds: float, *, joiners_end_it: bool) -> None:
        """Sleep, but no longer than anybody waits; with `joiners_end_it`, new waits are looked up at once, together."""
        end = self._loop.time() + seconds
        while self._asked and (left := end - self._loop.time()) > 0:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stirred.wait()
                if joiners_end_it:
                    end = min(end, self._loop.time() + self._pace.gather_joiners)


class _Outage:
    """How long to wait before the next try, and what to say about it: once when it begins, once when it is over."""

    def __init__(self, conn_id: str, pace: Pace, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._pace = pace
        self._clock = clock
        self._reached = False
        self._began: float | None = None
        self._tries = 0

    def retry_in(self, error: Exception, *, refused: bool) -> float:
        """Seconds to the next try. Raises `error` when a server that was never reached has had its time."""
        now = self._clock()
        if self._began is None:
            self._began = now
            # A server never reached is told to those who wait, if it comes to that; an asset's trigger begins anew.
            level = logging.WARNING if self._reached else logging.INFO
            log.log(level, "Connection %s: %s. Trying again; all waits go on when it is back.", self._conn_id, error)
        if not self._reached:
            patience = self._pace.refused_for if refused else self._pace.away_for
            if now - self._began >= patience:
                raise error
        self._tries += 1
        return backoff(
            self._tries,
            jitter=random.random(),  # noqa: S311 - jitter
            first=timedelta(seconds=self._pace.first_retry),
            longest=timedelta(seconds=self._pace.longest_retry),
        ).total_seconds()

    def over(self) -> None:
        if self._began is not None:
            lasted = roughly(timedelta(seconds=self._clock() - self._began))
            log.info("Connection %s is back after %s.", self._conn_id, lasted)
        self._reached, self._began, self._tries = True, None, 0


async def _closed(conn: Any) -> None:
    """Close without a word: a connection that is closed here is lost, or needed by nobody."""
    if conn is not None:
        with suppress(Exception):
            await conn.close()
