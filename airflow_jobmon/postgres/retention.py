"""Retention of our own tables, in small batches; the user's table and the archive are never touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from airflow_jobmon.postgres.queries import load_queries

_KEEP = timedelta(days=400)
_BATCH = 1000
_MOST_BATCHES = 50


def prune(conn: psycopg.Connection[Any]) -> None:
    """Delete what ended more than 400 days ago, and give up deliveries on channels without a deliverer.

    One call deletes at most 50,000 rows a table, so that a first clean-up does not delay a health check for long.
    """
    for query in load_queries("retention").values():
        for _ in range(_MOST_BATCHES):
            if conn.execute(query, {"keep": _KEEP, "batch": _BATCH}).rowcount < _BATCH:
                break
