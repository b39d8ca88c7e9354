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
import os
import random
import socket
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import psycopg

from airflow_jobmon.core.backoff import backoff
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.judging import BATCH, check_and_record, judge_changed, judge_events
from airflow_jobmon.postgres.connect import aconnect, connect
from airflow_jobmon.postgres.days import seal_days
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.outbox import newest_due
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_INTERVAL = 1.0
"""Seconds between looks where LISTEN does not arrive."""

_ROUND_TRIP = 3.0
"""Seconds a NOTIFY of our own may take to come back before LISTEN counts as not arriving."""

_HEARTBEAT = 5.0
_SEALING = timedelta(seconds=0.2)
"""What a sweep gives to counting days that are over: no failure waits longer for it."""

_WAKE_AGAIN = (5.0, 300.0)
"""Seconds after which the same due alerts are told of again: at first, and at most (a wake may be lost on its way)."""

_BREATHER = 0.05
"""Seconds left to whoever delivers before the look that was cut short for its sake is finished."""

_GIVE_WAY = 0.15
"""Seconds left to a process that delivers by itself, before a DAG is woken for the same alerts."""


@dataclass(slots=True)
class Pulse:
    """What a watcher is doing, for whoever shows it. `listens`: a NOTIFY arrives here, so nothing is polled."""

    connected: bool = False
    listens: bool = False
    events: int = 0
    alerts: int = 0
    error: str | None = None


class Watcher:
    """One watcher. Iterate over `wakes()`; cancelling that ends it."""

    def __init__(self, conninfo: str, settings: Settings, *, kind: str, delivers: bool) -> None:
        self._conninfo = conninfo
        self._settings = settings
        self._identity = {
            "id": uuid4(),
            "kind": kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "delivers": delivers,
        }
        self._delivers = delivers
        self._sql = load_queries("watcher")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobmon-watcher")
        self._conn: psycopg.Connection[Any] | None = None
        self._swept = self._beaten = float("-inf")
        self._look_again = float("inf")
        self._told: tuple[int, float, float] | None = None
        self.pulse = Pulse()

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
                    await self._in_thread(self._drop)
                    await asyncio.sleep(wait)
        finally:
            await asyncio.shield(self._in_thread(self._leave))
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
        await self._in_thread(self._open)
        async with await aconnect(self._conninfo) as listener:
            await listener.execute("LISTEN airflow_jobmon")
            self.pulse.listens = await self._prove(listener)
            if not self.pulse.listens:
                # A pooler kept it on a connection that others use: most likely the one that it gives us now.
                await listener.execute("UNLISTEN airflow_jobmon")
            await self._in_thread(self._prepare)
            self.pulse.connected, self.pulse.error = True, None
            log.info(
                "watching %s",
                "by LISTEN"
                if self.pulse.listens
                else f"by looking each {POLL_INTERVAL:g} s: NOTIFY does not arrive over this connection",
            )
            while True:
                # The wake must reach whoever delivers before the next wait, so it is yielded from here.
                if await self._in_thread(self._look):
                    yield
                await self._wait(listener)

    async def _prove(self, listener: psycopg.AsyncConnection[Any]) -> bool:
        """Whether a NOTIFY sent over another connection arrives on this one; poolers and standbys drop it."""
        try:
            await self._in_thread(self._notify)
        except psycopg.Error:
            return False
        async for _ in listener.notifies(timeout=_ROUND_TRIP, stop_after=1):
            return True
        return False

    async def _wait(self, listener: psycopg.AsyncConnection[Any]) -> None:
        """Until a NOTIFY comes, or something falls due by the clock."""
        now = time.monotonic()
        until_sweep = self._swept + self._settings.sweep_interval.total_seconds() - now
        until_beat, until_look = self._beaten + _HEARTBEAT - now, self._look_again - now
        timeout = max(0.0, min(until_sweep, until_beat, until_look, self._until_told_again(now)))
        if not self.pulse.listens:
            await asyncio.sleep(min(timeout, POLL_INTERVAL))
            return
        ours = self._connection.info.backend_pid
        async with contextlib.aclosing(listener.notifies(timeout=timeout)) as notices:
            async for notice in notices:
                if notice.pid != ours:  # what our own judging told of, we know
                    return

    def _until_told_again(self, now: float) -> float:
        return _HEARTBEAT if self._told is None else self._told[1] + self._told[2] - now

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # What follows runs in the watcher's own thread, on its own connection.

    def _open(self) -> None:
        self._conn = connect(self._conninfo)
        check_schema(self._conn)

    def _prepare(self) -> None:
        if self._conn is not None:
            self._conn.prepare_threshold = 2 if self.pulse.listens else None
        self._beat()

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
        self._conn = None
        self._beaten = float("-inf")

    def _leave(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if self._conn is not None:
                self._conn.execute(self._sql["forget"], self._identity)
        self._drop()

    def _notify(self) -> None:
        self._connection.execute("SELECT pg_notify('airflow_jobmon', '')")

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            raise psycopg.OperationalError("the watcher's connection is closed")
        return self._conn

    def _beat(self) -> None:
        self._connection.execute(self._sql["heartbeat"], {**self._identity, "listens": self.pulse.listens})
        self._beaten = time.monotonic()

    def _look(self) -> bool:
        """Judge what is new, sweep if it is time, and say whether somebody should deliver."""
        conn = self._connection
        self._look_again = float("inf")
        while (judged := judge_events(conn, self._settings)).events:
            self.pulse.events += judged.events
            self.pulse.alerts += judged.alerts
            if judged.alerts and self._delivers:
                self._look_again = time.monotonic() + (_BREATHER if judged.events < BATCH else 0)
                return True
        now = time.monotonic()
        if now - self._swept >= self._settings.sweep_interval.total_seconds():
            self.pulse.alerts += judge_changed(conn, self._settings).alerts
            self._check_if_nobody_does(conn)
            conn.execute(self._sql["forget_stale"])
            seal_days(conn, most=_SEALING)
            self._swept = now
        if now - self._beaten >= _HEARTBEAT:
            self._beat()
        return self._due(conn)

    def _check_if_nobody_does(self, conn: psycopg.Connection[Any]) -> None:
        """The hourly check, success rates counted, where no DAG makes it."""
        row = conn.execute(self._sql["check_is_owed"]).fetchone()
        if row is not None and row[0]:
            check_and_record(conn, self._settings)

    def _due(self, conn: psycopg.Connection[Any]) -> bool:
        newest = newest_due(conn)
        if newest is None:
            self._told = None
            return False
        if self._delivers:
            return True
        now = time.monotonic()
        if self._told is None or newest > self._told[0]:
            if self._given_way(conn):
                return False
            self._told = (newest, now, _WAKE_AGAIN[0])
            return True
        _, told_at, patience = self._told
        if now - told_at < patience:
            return False
        self._told = (newest, now, min(patience * 2, _WAKE_AGAIN[1]))
        return True

    def _given_way(self, conn: psycopg.Connection[Any]) -> bool:
        """Whether a process that delivers by itself took them, once it was given the moment it needs."""
        row = conn.execute(self._sql["delivering_elsewhere"], self._identity).fetchone()
        if row is None or not row[0]:
            return False
        deadline = time.monotonic() + _GIVE_WAY
        while time.monotonic() < deadline:
            time.sleep(0.02)
            if newest_due(conn) is None:
                return True
        return False
