"""Learns the schedules of unregistered jobs and stores them in job_state.rhythm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from airflow_jobmon.core.schedule.learning import learn_schedule
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction
from airflow_jobmon.postgres.queries import load_queries

_IN_ORDER = PLANNED_ONCE | {"enable_sort": "off"}
"""Log and archive are read in the order of their indexes: a plan that sorts would read a job's whole history."""


def learn_schedules(conn: psycopg.Connection[Any], names: Sequence[str], *, now: datetime) -> int:
    """Learn the schedule of each of these jobs that has none yet or an outdated one; returns how many were examined.

    No lock is held meanwhile: two processes that do this at once learn the same, and a schedule that a crash loses is
    learned again.
    """
    queries = load_queries("learned_schedules")
    with transaction(conn, _IN_ORDER):
        due = [name for (name,) in conn.execute(queries["due"], {"names": list(names), "now": now})]
        history = conn.execute(queries["starts"], {"names": due, "now": now}).fetchall() if due else []
    rows = [{"job_name": name, "rhythm": _learned(starts)} for name, starts in history]
    if rows:
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE):
            conn.execute(queries["store"], {"rows": Jsonb(rows, dumps=_dumps), "now": now})
    return len(rows)


def _learned(starts: Sequence[datetime]) -> dict[str, Any] | None:
    learned = learn_schedule(starts)
    return learned.as_json() if learned else None


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
