"""The API server's way to the job log: a few connections and threads of our own, so that a slow log slows us only."""

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

from airflow_jobmon.errors import BusyProblem, DatabaseAway
from airflow_jobmon.postgres.connect import open_session, prepared_conninfo
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.web.cached_settings import current_conninfo

T = TypeVar("T")

_AT_ONCE = 4
"""Requests answered at the same time; the rest wait without taking up a thread of the API server's own."""

_PATIENCE = 0.8
"""Seconds without any movement after which who waits is told that nothing can be told: within a second, all in all."""

_QUEUE = 10
"""Seconds that a request waits for its turn while others are being answered."""

_LONGEST = 20
"""Seconds that one statement may take; an answer has five more."""

_AWAY = "the job log's database does not answer; it is tried again all the time"
_BUSY = "too many others are being answered; try again in a moment"
_SLOW = f"the job log's database took more than {_LONGEST} s; see what it is busy with, or what holds a lock"


class Database:
    """Connections to the log, made when asked for and kept; a changed Airflow connection is noticed within 30 s.

    A server that hangs keeps at most four threads, which go on by themselves once it answers or the network gives up.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jobmon-web")
        self._lock = Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._conninfo = ""
        self._held: list[psycopg.Connection[Any]] = []
        self._movements = 0

    async def run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Run `work` in a thread, on a connection whose schema is the one that this package knows.

        Raises DatabaseAway within a second where the database is away or hangs, BusyProblem where it or other
        requests took too long, SchemaProblem where it is another schema.
        """
        loop = asyncio.get_running_loop()
        reached = loop.create_future()

        def in_thread() -> T:
            with self._connection() as conn:
                loop.call_soon_threadsafe(_tell, reached)
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
            answer.cancel()  # takes back what has not begun; what hangs is left to itself

    def close(self) -> None:
        """Let go of the connections; the next request makes new ones."""
        with self._lock:
            old, self._pool = self._pool, None
        if old is not None:
            old.close()

    async def _wait_for_turn(self, answer: asyncio.Future[Any], reached: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _QUEUE
        while True:
            before = self._movements
            if (await asyncio.wait({answer, reached}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED))[0]:
                return
            if self._movements == before and self._waits_for_the_server():
                raise DatabaseAway(_AWAY)
            if loop.time() > until:
                raise BusyProblem(_BUSY)

    def _waits_for_the_server(self) -> bool:
        """Every connection that is held has been asked something and has not been answered."""
        return all(conn.info.transaction_status is TransactionStatus.ACTIVE for conn in tuple(self._held))

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        pool = self._current_pool()
        try:
            conn = _live(pool)
        except (PoolTimeout, PoolClosed):
            raise DatabaseAway(_AWAY) from None
        self._held.append(conn)
        self._movements += 1
        try:
            yield conn
        finally:
            self._held.remove(conn)
            self._movements += 1
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


def _tell(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


def _live(pool: ConnectionPool[psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """A connection that the server still answers on.

    The pool's own check waits a second after the second dead one, and after a restart of the server all are dead.
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
        min_size=1,  # a far server takes its second to connect, which a call once an hour should not wait for
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
