"""Finds the jobs that a sweep has to judge."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from airflow_jobmon.postgres.queries import load_queries


def changed_jobs(conn: psycopg.Connection[Any], *, now: datetime | None = None) -> list[str]:
    """Names whose verdict may have changed since it was stored: new runs, deleted runs, deadlines passed at `now`.

    The default is the database's clock.
    """
    return [name for (name,) in conn.execute(load_queries("sweep")["changed_jobs"], {"now": now})]
