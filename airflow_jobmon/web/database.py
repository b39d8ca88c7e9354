"""The API server's way to the job log: a few connections and threads of our own, so that a slow log slows us only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, TypeVar

import psycopg
from anyio import CapacityLimiter, to_thread
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.postgres.connect import open_session, prepared_conninfo
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.web.configured import current_conninfo

T = TypeVar("T")

_AT_ONCE = 4
"""Requests answered at the same time; the rest wait without taking up a thread of the API server's own."""

_PATIENCE = 0.8
"""Seconds that a request waits for a connection: who asks for health is told within a second that it cannot be told."""

_LONGEST = 20_000
"""Milliseconds that one statement may take."""


class Database:
    """Connections to the log, made when asked for and kept; a changed Airflow connection is noticed within 30 s."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None
        self._lock = Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._conninfo = ""

    async def run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Run `work` in a thread, on a connection whose schema is the one that this package knows.

        Raises ConnectionProblem within a second where the database is away, SchemaProblem where it is another schema.
        """

        def in_thread() -> T:
            with self._connection() as conn:
                check_schema(conn)
                return work(conn)

        if self._limiter is None:  # belongs to the running loop
            self._limiter = CapacityLimiter(_AT_ONCE)
        return await to_thread.run_sync(in_thread, limiter=self._limiter)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        pool = self._current_pool()
        try:
            conn = pool.getconn(timeout=_PATIENCE)
        except (PoolTimeout, PoolClosed):
            raise ConnectionProblem("the job log's database does not answer; it is tried again all the time") from None
        try:
            yield conn
        finally:
            with suppress(psycopg.Error):
                pool.putconn(conn)

    def _current_pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        wanted = current_conninfo()
        with self._lock:
            if self._pool is None or wanted != self._conninfo:
                if self._pool is not None:
                    self._pool.close(timeout=1)
                self._pool, self._conninfo = _make_pool(wanted), wanted
            return self._pool


def _make_pool(conninfo: str) -> ConnectionPool[psycopg.Connection[Any]]:
    return ConnectionPool(
        prepared_conninfo(conninfo),
        min_size=0,
        max_size=_AT_ONCE,
        kwargs={"autocommit": True, "prepare_threshold": None},
        configure=_configure,
        check=ConnectionPool.check_connection,
        max_idle=60,
        reconnect_timeout=5,
        open=True,
        name="jobmon-web",
    )


def _configure(conn: psycopg.Connection[Any]) -> None:
    open_session(conn)
    conn.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [str(_LONGEST)])
