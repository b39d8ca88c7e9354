"""Reads what jobs did on each day, and keeps that cheap: see sql/views/13_days.sql and sql/functions/16_sealing.sql."""

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
    """By job, its UTC days from `since` on, oldest first, exactly as the log says; days without a run are left out."""
    found: dict[str, list[DayStats]] = {name: [] for name in names}
    rows = conn.execute(load_queries("day_stats")["days"], {"names": sorted(found), "since": since}).fetchall()
    for row in rows:
        found[row[0]].append(DayStats._make(row[1:]))  # hundreds of thousands, when all jobs are asked for
    return found


def seal_days(conn: Connection, *, most: timedelta) -> int:
    """Count days that are over, step by step, for about this long or until there is nothing to do; returns the steps.

    Any number of processes may do so at once. A step that never reached the disk is made again.
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
