"""The watcher: waits for failures and deadlines, evaluates jobs, and reports when alerts are due for delivery.

It runs inside a triggerer and inside `airflow jobmon listen`; both use it as an async iterator. It never blocks its
event loop: every statement but LISTEN itself runs in a thread of its own. NOTIFY only wakes it: the work to do is read
from the tables, after LISTEN, at each wake and at each sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.monitoring.watch_cycle import LiveWatcherStatus, WatchCycle
from airflow_jobmon.postgres.connect import aconnect
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

ReadTarget = Callable[[], Awaitable[tuple[str, Settings]]]
"""Returns the conninfo to watch and the settings; called before each attempt to connect, since both may change."""

POLL_INTERVAL = 1.0
"""Seconds between poll cycles where NOTIFY does not arrive."""

_ROUND_TRIP = 3.0
"""Seconds in which a NOTIFY of our own must arrive; otherwise LISTEN does not work."""


class Watcher:
    """One watcher. Iterate over `alerts_due()`; cancelling that stops it."""

    def __init__(self, read_target: ReadTarget, *, kind: str, delivers: bool) -> None:
        self._read_target = read_target
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobmon-watcher")
        self.status = LiveWatcherStatus()
        self._cycle = WatchCycle(self.status, kind=kind, delivers=delivers)  # used in that thread only

    async def alerts_due(self) -> AsyncGenerator[None]:
        """Yield whenever alerts are due that no process is sending; after any error, connect again, with backoff."""
        failures = 0
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._watch()) as watching:
                        async for _ in watching:
                            failures = 0
                            yield
                except Exception as error:  # noqa: BLE001 - an unforeseen error must not end the watching
                    failures = failures + 1 if not self.status.connected else 1
                    retry_in = self._note_interruption(error, failures)
                    await self._in_thread(self._cycle.disconnect)
                    await asyncio.sleep(retry_in)
        finally:
            await asyncio.shield(self._in_thread(self._cycle.close))
            self._thread.shutdown(wait=False)

    def _note_interruption(self, error: Exception, failures: int) -> float:
        """Set the status and log the error, though not each time; returns the seconds until the next attempt."""
        lines = str(error).splitlines()
        self.status.connected, self.status.error = False, lines[0] if lines else repr(error)
        retry_in = backoff(failures, jitter=random.random(), longest=timedelta(seconds=15)).total_seconds()  # noqa: S311
        if failures in {1, 2} or failures % 20 == 0:
            expected = isinstance(error, (psycopg.Error, JobmonError, OSError))
            log.warning(
                "watching is interrupted (%s); next attempt in %.1f s",
                self.status.error,
                retry_in,
                exc_info=None if expected else error,
            )
        return retry_in

    async def _watch(self) -> AsyncGenerator[None]:
        """Connect and run poll cycles until an error; yield whenever alerts are due."""
        conninfo, settings = await self._read_target()
        await self._in_thread(lambda: self._cycle.connect(conninfo, settings))
        async with await aconnect(conninfo) as listener:
            await listener.execute("LISTEN airflow_jobmon")
            self.status.listens = await self._notify_arrives(listener)
            if not self.status.listens:
                # A pooler kept LISTEN on a connection that it shares: most likely the one it assigns to us now.
                await listener.execute("UNLISTEN airflow_jobmon")
            await self._in_thread(self._cycle.start)
            self.status.connected, self.status.error = True, None
            log.info(
                "watching %s",
                "by LISTEN"
                if self.status.listens
                else f"by polling every {POLL_INTERVAL:g} s: NOTIFY does not arrive over this connection",
            )
            while True:
                # Yielded before the next wait, so that delivery begins at once.
                if await self._in_thread(self._cycle.run_once):
                    yield
                await self._wait(listener)

    async def _notify_arrives(self, listener: psycopg.AsyncConnection[Any]) -> bool:
        """Whether a NOTIFY from another connection arrives on this one; poolers and standbys drop it."""
        try:
            await self._in_thread(self._cycle.notify)
        except psycopg.Error:
            return False
        async for _ in listener.notifies(timeout=_ROUND_TRIP, stop_after=1):
            return True
        return False

    async def _wait(self, listener: psycopg.AsyncConnection[Any]) -> None:
        """Wait for a NOTIFY, or until the next poll cycle is due."""
        seconds = self._cycle.seconds_until_next()
        if not self.status.listens:
            await asyncio.sleep(min(seconds, POLL_INTERVAL))
            return
        own_pid = self._cycle.backend_pid
        async with contextlib.aclosing(listener.notifies(timeout=seconds)) as notifications:
            async for notification in notifications:
                if notification.pid != own_pid:  # our own evaluation notifies, too
                    return

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
