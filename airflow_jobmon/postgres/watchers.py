"""The table of watchers, where each one leaves its heartbeat."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import scalar_row

from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class WatcherIdentity:
    """One watcher. kind: `trigger` or `listen`; delivers: its process delivers alerts by itself."""

    id: UUID
    kind: str
    host: str
    pid: int
    delivers: bool


def write_heartbeat(conn: Connection, watcher: WatcherIdentity, *, listens: bool) -> None:
    conn.execute(load_queries("watchers")["heartbeat"], {**asdict(watcher), "listens": listens})


def remove_watcher(conn: Connection, watcher: WatcherIdentity) -> None:
    conn.execute(load_queries("watchers")["remove"], {"id": watcher.id})


def remove_stale_watchers(conn: Connection) -> None:
    conn.execute(load_queries("watchers")["remove_stale"])


def is_delivered_elsewhere(conn: Connection, watcher: WatcherIdentity) -> bool:
    """Whether another live process delivers alerts by itself."""
    return _is_true(conn, "delivering_elsewhere", id=watcher.id)


def full_check_is_overdue(conn: Connection) -> bool:
    """Whether no process has made the hourly check when it was due."""
    return _is_true(conn, "full_check_is_overdue")


def _is_true(conn: Connection, query: str, **parameters: Any) -> bool:
    """Whether the query's one row is true; no row is false."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(load_queries("watchers")[query], parameters).fetchone())
