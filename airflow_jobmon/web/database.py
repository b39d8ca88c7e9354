"""The API server's connections to the job log: a few, with threads of their own, so that a slow log slows only us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from airflow_jobmon.errors import BusyProblem, DatabaseUnavailable
from airflow_jobmon.postgres.connect import open_session, prepared_conninfo
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.web.cached_settings import current_conninfo

T = TypeVar("T")

_AT_ONCE = 4
"""Requests served at the same time; others wait without occupying a thread of the API server."""

_PATIENCE = 0.8
"""Seconds without progress until a waiting request is refused: a second in total."""

_QUEUE = 10
"""Seconds that a request waits for its turn while others are served."""

_LONGEST = 20
"""Seconds that one statement may take; the whole request gets five more."""

_UNAVAILABLE = "the job log's database does not respond; the connection is retried in the background"
_BUSY = "too many requests are in progress; try again in a moment"
_SLOW = f"the job log's database took more than {_LONGEST} s; check its load and whether something holds a lock"


class Database:
    """A pool of connections to the log, opened on demand; a changed Airflow connection takes effect within 30 s.

    A server that hangs holds at most four threads, which continue once it responds or the network gives up.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jobmon-web")
        self._lock = Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._conninfo = ""
        self._held: list[psycopg.Connection[Any]] = []
        self._progress = 0

    async def run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Run `work` in a thread, on a connection whose schema matches this package.

        Raises DatabaseUnavailable within a second if the database is unavailable or hangs, BusyProblem if it or other
        requests take too long, SchemaProblem if the schema does not match.
        """
        loop = asyncio.get_running_loop()
        reached = loop.create_future()

        def in_thread() -> T:
            with self._connection() as conn:
                loop.call_soon_threadsafe(_mark_reached, reached)
                check_schema(conn)
                return work(conn)

        answer = loop.run_in_executor(self._threads, in_thread)
        try:
            await self._wait_for_turn(answer, reached)
            return await asyncio.wait_for(asyncio.shield(answer), _LONGEST + 5)
        except TimeoutError:
            raise BusyProblem(_SLOW) from None
        finally:
            reached.cancel()
            answer.cancel()  # cancels work that has not started; a hanging thread is left alone

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            old, self._pool = self._pool, None
        if old is not None:
            old.close()

    async def _wait_for_turn(self, answer: asyncio.Future[Any], reached: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _QUEUE
        while True:
            before = self._progress
            if (await asyncio.wait({answer, reached}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED))[0]:
                return
            if self._progress == before and self._waits_for_the_server():
                raise DatabaseUnavailable(_UNAVAILABLE)
            if loop.time() > until:
                raise BusyProblem(_BUSY)

    def _waits_for_the_server(self) -> bool:
        """Whether every connection in use has sent a statement and awaits the result."""
        return all(conn.info.transaction_status is TransactionStatus.ACTIVE for conn in tuple(self._held))

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        pool = self._current_pool()
        try:
            conn = _live(pool)
        except (PoolTimeout, PoolClosed):
            raise DatabaseUnavailable(_UNAVAILABLE) from None
        self._held.append(conn)
        self._progress += 1
        try:
            yield conn
        finally:
            self._held.remove(conn)
            self._progress += 1
            with suppress(psycopg.Error):
                pool.putconn(conn)

    def _current_pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        wanted = current_conninfo()
        with self._lock:
            old = None
            if self._pool is None or wanted != self._conninfo:
                old, self._pool, self._conninfo = self._pool, _make_pool(wanted), wanted
            pool = self._pool
        if old is not None:
            old.close(timeout=0)
        return pool


def _mark_reached(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


def _live(pool: ConnectionPool[psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """A connection that is still alive.

    The pool's own check waits a second after the second dead one, and after a server restart all are dead.
    """
    until = monotonic() + _PATIENCE
    while True:
        conn = pool.getconn(timeout=until - monotonic())
        try:
            pool.check_connection(conn)
        except psycopg.Error:
            conn.close()
            pool.putconn(conn)
        else:
            return conn


def _make_pool(conninfo: str) -> ConnectionPool[psycopg.Connection[Any]]:
    return ConnectionPool(
        prepared_conninfo(conninfo),
        min_size=1,  # connecting to a distant server takes a second, which an hourly call should not wait for
        max_size=_AT_ONCE,
        kwargs={"autocommit": True, "prepare_threshold": None},
        configure=_configure,
        max_idle=60,
        reconnect_timeout=5,
        open=True,
        name="jobmon-web",
    )


def _configure(conn: psycopg.Connection[Any]) -> None:
    open_session(conn)
    conn.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [str(_LONGEST * 1000)])
