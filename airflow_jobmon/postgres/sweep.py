"""Finds the jobs that a sweep has to judge."""

from __future__ import annotations

from typing import Any

import psycopg

from airflow_jobmon.postgres.queries import load_queries


def changed_jobs(conn: psycopg.Connection[Any]) -> list[str]:
    """Names whose verdict may have changed since it was stored: new runs, deleted runs, deadlines passed."""
    return [name for (name,) in conn.execute(load_queries("sweep")["changed_jobs"])]
