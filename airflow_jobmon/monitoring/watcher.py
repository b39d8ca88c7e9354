"""The watcher: listens, judges, sweeps, and tells when alerts are due.

It runs inside a triggerer and inside `airflow jobmon listen`; both use it as an async iterator that yields whenever
something is due that nobody is sending. The loop it runs in is never blocked: all statements but LISTEN itself run in
a thread of its own. NOTIFY only wakes it: what there is to do is read from the tables, after LISTEN, at each wake and
at each sweep.
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
from airflow_jobmon.monitoring.watch_cycle import Lookout, Pulse
from airflow_jobmon.postgres.connect import aconnect
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

Where = Callable[[], Awaitable[tuple[str, Settings]]]
"""Says where to watch (a conninfo) and how; asked before each attempt to connect, so that both may change."""

POLL_INTERVAL = 1.0
"""Seconds between looks where LISTEN does not arrive."""

_ROUND_TRIP = 3.0
"""Seconds a NOTIFY of our own may take to come back before LISTEN counts as not arriving."""


class Watcher:
    """One watcher. Iterate over `wakes()`; cancelling that ends it."""

    def __init__(self, where: Where, *, kind: str, delivers: bool) -> None:
        self._where = where
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobmon-watcher")
        self.pulse = Pulse()
        self._lookout = Lookout(self.pulse, kind=kind, delivers=delivers)  # used in that thread only

    async def wakes(self) -> AsyncGenerator[None]:
        """Yield whenever alerts are due and in nobody's hands; connect again, with backoff, for as long as it takes."""
        failures = 0
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._connected()) as connected:
                        async for _ in connected:
                            failures = 0
                            yield
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would watch
                    failures = failures + 1 if not self.pulse.connected else 1
                    wait = self._interrupted(error, failures)
                    await self._in_thread(self._lookout.drop)
                    await asyncio.sleep(wait)
        finally:
            await asyncio.shield(self._in_thread(self._lookout.leave))
            self._thread.shutdown(wait=False)

    def _interrupted(self, error: Exception, failures: int) -> float:
        """Say so, not every time; the seconds to wait before the next try."""
        said = str(error).splitlines()
        self.pulse.connected, self.pulse.error = False, said[0] if said else repr(error)
        wait = backoff(failures, jitter=random.random(), longest=timedelta(seconds=15)).total_seconds()  # noqa: S311
        if failures in {1, 2} or failures % 20 == 0:
            expected = isinstance(error, (psycopg.Error, JobmonError, OSError))
            log.warning(
                "watching is interrupted (%s); next try in %.1f s",
                self.pulse.error,
                wait,
                exc_info=None if expected else error,
            )
        return wait

    async def _connected(self) -> AsyncGenerator[None]:
        conninfo, settings = await self._where()
        await self._in_thread(lambda: self._lookout.open(conninfo, settings))
        async with await aconnect(conninfo) as listener:
            await listener.execute("LISTEN airflow_jobmon")
            self.pulse.listens = await self._prove(listener)
            if not self.pulse.listens:
                # A pooler kept it on a connection that others use: most likely the one that it gives us now.
                await listener.execute("UNLISTEN airflow_jobmon")
            await self._in_thread(self._lookout.begin)
            self.pulse.connected, self.pulse.error = True, None
            log.info(
                "watching %s",
                "by LISTEN"
                if self.pulse.listens
                else f"by looking each {POLL_INTERVAL:g} s: NOTIFY does not arrive over this connection",
            )
            while True:
                # The wake must reach whoever delivers before the next wait, so it is yielded from here.
                if await self._in_thread(self._lookout.look):
                    yield
                await self._wait(listener)

    async def _prove(self, listener: psycopg.AsyncConnection[Any]) -> bool:
        """Whether a NOTIFY sent over another connection arrives on this one; poolers and standbys drop it."""
        try:
            await self._in_thread(self._lookout.notify)
        except psycopg.Error:
            return False
        async for _ in listener.notifies(timeout=_ROUND_TRIP, stop_after=1):
            return True
        return False

    async def _wait(self, listener: psycopg.AsyncConnection[Any]) -> None:
        """Until a NOTIFY comes, or something falls due by the clock."""
        patience = self._lookout.patience()
        if not self.pulse.listens:
            await asyncio.sleep(min(patience, POLL_INTERVAL))
            return
        ours = self._lookout.backend_pid
        async with contextlib.aclosing(listener.notifies(timeout=patience)) as notices:
            async for notice in notices:
                if notice.pid != ours:  # what our own judging told of, we know
                    return

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
