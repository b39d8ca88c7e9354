"""Learns the rhythms of unregistered jobs, and keeps what was learned in job_state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from airflow_jobmon.core.schedule.learned import learn_rhythm
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction
from airflow_jobmon.postgres.queries import load_queries

_IN_ORDER = PLANNED_ONCE | {"enable_sort": "off"}
"""Log and archive are walked in the order of their indexes: a plan that sorts would read a job's whole history."""


def learn_rhythms(conn: psycopg.Connection[Any], names: Sequence[str], *, now: datetime) -> int:
    """Learn the rhythms of those of these jobs whose own are unknown or old; returns how many were looked at.

    Two that learn at once learn the same. No lock is held while it is reckoned; should what was learned be lost, it is
    learned again.
    """
    queries = load_queries("learned_schedules")
    with transaction(conn, _IN_ORDER):
        owed = [name for (name,) in conn.execute(queries["owed"], {"names": list(names), "now": now})]
        history = conn.execute(queries["starts"], {"names": owed, "now": now}).fetchall() if owed else []
    rows = [{"job_name": name, "rhythm": _learned(starts)} for name, starts in history]
    if rows:
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE):
            conn.execute(queries["store"], {"rows": Jsonb(rows, dumps=_dumps), "now": now})
    return len(rows)


def _learned(starts: Sequence[datetime]) -> dict[str, Any] | None:
    rhythm = learn_rhythm(starts)
    return rhythm.as_json() if rhythm else None


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
