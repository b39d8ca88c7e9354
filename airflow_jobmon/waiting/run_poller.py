"""One connection for all waits in an event loop, however many there are.

A triggerer may hold a thousand deferred sensors. They subscribe to the poller of their connection id, which looks all
of them up in one query every half second. Each poll asks for everything again, so a lost connection loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.core.times import roughly
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.waiting.run_queries import RunQueries, load_run_queries
from airflow_jobmon.waiting.subscriptions import NewSuccesses, RunSubscriptions, SuccessSubscriptions

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

Resolve = Callable[[str], Awaitable[str]]
"""From a connection id to its libpq conninfo; called before each connect, since passwords rotate."""


@dataclass(frozen=True, slots=True)
class PollTimings:
    """The intervals and timeouts of a poller, in seconds.

    subscribe_delay: how long a poll that new subscriptions ask for is delayed, so that it serves all of them.
    refused_for, unreachable_for: how long a server that was never reached may refuse the connection, or be
        unreachable, before the waits fail. For a server that was reached before there is no limit: each wait has its
        own timeout.
    quiet: see SuccessSubscriptions.
    """

    poll_interval: float = 0.5
    subscribe_delay: float = 0.02
    poll_timeout: float = 30.0
    connect_timeout: float = 30.0
    first_retry: float = 0.2
    longest_retry: float = 15.0
    refused_for: float = 5.0
    unreachable_for: float = 300.0
    quiet: float = 5.0


_TIMINGS = PollTimings()
_pollers: dict[tuple[asyncio.AbstractEventLoop, str], RunPoller] = {}


async def wait_for_run(wait: Wait, *, conn_id: str, resolve: Resolve, timings: PollTimings = _TIMINGS) -> Run:
    """The run that ends this wait, however long that takes.

    Raises a JobmonError of one line if the database could never be reached or read.
    """
    poller = _poller(conn_id, resolve, timings)
    future = poller.runs.add(wait)
    poller.wake()
    try:
        return await future
    finally:
        poller.runs.remove(wait, future)
        poller.wake()


async def new_successes(
    job_name: str, *, conn_id: str, resolve: Resolve, timings: PollTimings = _TIMINGS
) -> AsyncGenerator[NewSuccesses, None]:
    """Yield the successes of a job as they come, several at once as one item; raises as `wait_for_run` does."""
    poller = _poller(conn_id, resolve, timings)
    subscription = poller.successes.add(job_name)
    poller.wake()
    try:
        while True:
            yield await subscription.next()
    finally:
        poller.successes.remove(subscription)
        poller.wake()


def _poller(conn_id: str, resolve: Resolve, timings: PollTimings) -> RunPoller:
    key = (asyncio.get_running_loop(), conn_id)
    if (poller := _pollers.get(key)) is None:
        poller = _pollers[key] = RunPoller(conn_id, resolve, timings)
        poller.start()
    return poller


class RunPoller:
    """The task that polls for all subscriptions of one connection id; it ends with the last of them."""

    def __init__(self, conn_id: str, resolve: Resolve, timings: PollTimings) -> None:
        self.runs = RunSubscriptions()
        self.successes = SuccessSubscriptions(timings.quiet)
        self._conn_id = conn_id
        self._resolve = resolve
        self._timings = timings
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._conn: psycopg.AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        # An empty context: in that of the first subscriber, everything the poller logs would go to that task's log.
        self._task = self._loop.create_task(self._run(), name=f"jobmon poller {self._conn_id}", context=Context())

    def wake(self) -> None:
        """Notice a subscription that was added or removed."""
        self._woken.set()

    @property
    def _has_subscriptions(self) -> bool:
        return bool(self.runs) or bool(self.successes)

    async def _run(self) -> None:
        """Poll until there are no subscriptions; an error that ends polling before that goes to all of them."""
        failure: Exception = JobmonError("the wait was stopped together with its event loop")
        try:
            await self._poll_while_subscribed()
        except Exception as error:  # noqa: BLE001 - the subscribers raise it
            failure = error
        finally:
            # No await between the last check for subscriptions and this: later subscribers get a new poller.
            del _pollers[self._loop, self._conn_id]
            self.runs.fail(failure)
            self.successes.fail(failure)
            await self._disconnect()

    async def _poll_while_subscribed(self) -> None:
        # In a thread, and before `resolve`, which would import the same modules in this event loop.
        queries = await asyncio.to_thread(load_run_queries)
        outage = _Outage(self._conn_id, self._timings, self._loop.time)
        while self._has_subscriptions:
            try:
                await self._poll(queries)
            except queries.TROUBLE as error:
                await self._disconnect()
                retry_in = outage.retry_in(queries.explained(error), refused=queries.is_refusal(error))
                await self._sleep(retry_in, until_subscribed=False)
            else:
                outage.end()
                await self._sleep(self._timings.poll_interval, until_subscribed=True)

    async def _poll(self, queries: RunQueries) -> None:
        if self._conn is None:
            async with asyncio.timeout(self._timings.connect_timeout):
                self._conn = await queries.aconnect(await self._resolve(self._conn_id))
        async with asyncio.timeout(self._timings.poll_timeout):
            await self.runs.poll(self._conn, queries)
            await self.successes.poll(self._conn, queries, self._loop.time())

    async def _disconnect(self) -> None:
        """Close without raising: this connection is lost or no longer needed."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(Exception):
                await conn.close()

    async def _sleep(self, seconds: float, *, until_subscribed: bool) -> None:
        """Sleep while there are subscriptions; with `until_subscribed`, at most until shortly after a new one."""
        end = self._loop.time() + seconds
        while self._has_subscriptions and (left := end - self._loop.time()) > 0:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
                if until_subscribed:
                    end = min(end, self._loop.time() + self._timings.subscribe_delay)


class _Outage:
    """How long to wait before the next attempt. Logs an outage once when it begins, and once when it is over."""

    def __init__(self, conn_id: str, timings: PollTimings, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._timings = timings
        self._clock = clock
        self._reached = False
        self._began: float | None = None
        self._attempts = 0

    def retry_in(self, error: Exception, *, refused: bool) -> float:
        """Seconds until the next attempt. Raises `error` once a server that was never reached has had its time."""
        now = self._clock()
        if self._began is None:
            self._began = now
            # If the server is never reached, the waits raise this error themselves, so it is not a warning yet.
            level = logging.WARNING if self._reached else logging.INFO
            log.log(level, "Connection %s: %s. Trying again; all waits continue when it is back.", self._conn_id, error)
        if not self._reached:
            limit = self._timings.refused_for if refused else self._timings.unreachable_for
            if now - self._began >= limit:
                raise error
        self._attempts += 1
        return backoff(
            self._attempts,
            jitter=random.random(),  # noqa: S311 - jitter
            first=timedelta(seconds=self._timings.first_retry),
            longest=timedelta(seconds=self._timings.longest_retry),
        ).total_seconds()

    def end(self) -> None:
        if self._began is not None:
            lasted = roughly(timedelta(seconds=self._clock() - self._began))
            log.info("Connection %s is back after %s.", self._conn_id, lasted)
        self._reached, self._began, self._attempts = True, None, 0
