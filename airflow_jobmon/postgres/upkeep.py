"""Retention of our own tables, in small batches; the user's table and the archive are never touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from airflow_jobmon.postgres.queries import load_queries

KEEP = timedelta(days=400)
_BATCH = 1000
_MOST_BATCHES = 50


def prune(conn: psycopg.Connection[Any], *, keep: timedelta = KEEP) -> dict[str, int]:
    """Delete what is older than `keep` and over, and give up on what nobody delivers; returns the rows by query.

    One call deletes at most 50,000 rows a table, so that a first clean-up never holds up a health check for long.
    """
    deleted: dict[str, int] = {}
    for table, query in load_queries("upkeep").items():
        for _ in range(_MOST_BATCHES):
            count = conn.execute(query, {"keep": keep, "batch": _BATCH}).rowcount
            deleted[table] = deleted.get(table, 0) + count
            if count < _BATCH:
                break
    return deleted
