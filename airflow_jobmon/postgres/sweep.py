"""Finds the jobs that a sweep has to evaluate."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]


class JobToEvaluate(NamedTuple):
    """A job to evaluate. checked_at: when it was evaluated last; None: never."""

    name: str
    checked_at: datetime | None


def changed_jobs(conn: Connection, *, now: datetime | None = None) -> list[JobToEvaluate]:
    """Jobs whose health may have changed since it was stored (new runs, deleted runs, deadlines passed), by name.

    now: the default is the database's clock.
    """
    return (
        conn.cursor(row_factory=class_row(JobToEvaluate))
        .execute(load_queries("sweep")["changed_jobs"], {"now": now})
        .fetchall()
    )


def due_jobs(conn: Connection, limit: int) -> list[JobToEvaluate]:
    """Jobs that are due for evaluation although their runs have not changed, the longest due first."""
    return (
        conn.cursor(row_factory=class_row(JobToEvaluate))
        .execute(load_queries("sweep")["due_jobs"], {"limit": limit})
        .fetchall()
    )
