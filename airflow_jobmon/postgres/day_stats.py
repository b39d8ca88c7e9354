"""Reads the figures of each job and day, and seals days so that this stays cheap.

See sql/views/13_days.sql and sql/functions/16_sealing.sql.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import psycopg

from airflow_jobmon.core.model.days import DayStats
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, transaction
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]


def days(conn: Connection, names: Sequence[str], since: date) -> Mapping[str, list[DayStats]]:
    """By job, its UTC days with runs from `since` on, oldest first, exactly as counted from the log."""
    found: dict[str, list[DayStats]] = {name: [] for name in names}
    # By position, since all jobs have hundreds of thousands of days: the columns are a name and the fields of DayStats.
    rows = conn.execute(load_queries("day_stats")["days"], {"names": sorted(found), "since": since}).fetchall()
    for name, *day in rows:
        found[name].append(DayStats._make(day))
    return found


def seal_days(conn: Connection, *, most: timedelta) -> int:
    """Seal days that are over, step by step, for about `most` or until none is left; returns the number of steps.

    Any number of processes may do so at once. A step that a crash loses is done again.
    """
    query = load_queries("day_stats")["seal"]
    deadline = time.monotonic() + most.total_seconds()
    steps = 0
    while True:
        with transaction(conn, NOT_DURABLE):
            row = conn.execute(query).fetchone()
        if row is None or not row[0]:
            return steps
        steps += 1
        if time.monotonic() >= deadline:
            return steps
