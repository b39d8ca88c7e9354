"""Finds the jobs that a sweep has to judge."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]


class OwedJob(NamedTuple):
    """A job to be judged; `checked_at` dates the stored verdict that is out of date, None: there is none."""

    name: str
    checked_at: datetime | None


def changed_jobs(conn: Connection, *, now: datetime | None = None) -> list[OwedJob]:
    """Jobs whose verdict may have changed since it was stored: new runs, deleted runs, deadlines passed at `now`.

    By name; the default is the database's clock.
    """
    return [OwedJob(*row) for row in conn.execute(load_queries("sweep")["changed_jobs"], {"now": now})]


def due_jobs(conn: Connection, limit: int) -> list[OwedJob]:
    """Jobs whose verdict time alone may have changed, those whose time came first."""
    return [OwedJob(*row) for row in conn.execute(load_queries("sweep")["due_jobs"], {"limit": limit})]
