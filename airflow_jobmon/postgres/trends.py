"""Tells what got worse about jobs once a day, and keeps it in job_state, so that judging them need not count again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Finding
from airflow_jobmon.core.rules.trends import REACH, degradation
from airflow_jobmon.postgres.day_stats import days
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.job_state import JobState
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction
from airflow_jobmon.postgres.queries import load_queries

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

_OLD = timedelta(days=1)
"""What was told yesterday is good enough to be read; the hourly check after midnight tells it anew."""


def note_trends(conn: Connection, names: Sequence[str], *, today: date, unregistered: bool = False) -> int:
    """Tell the trends of those of these jobs whose own were not yet told `today` (UTC); returns how many they were.

    Of registered jobs, or with `unregistered` of all. No lock is held while they are reckoned; two that do so at once
    tell the same, and should it be lost, it is told again.
    """
    queries = load_queries("trends")
    given = {"names": list(names), "today": today, "unregistered": unregistered}
    with transaction(conn, PLANNED_ONCE):
        owed = [name for (name,) in conn.execute(queries["owed"], given)]
        jobs = [state.job for state in IncidentRepository(conn).read_states(owed)] if owed else []
        found = _reckon(conn, jobs, today) if jobs else {}
    if found:
        rows = [{"job_name": name, "trends": [one.as_stored() for one in told]} for name, told in found.items()]
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE):
            conn.execute(queries["store"], {"rows": Jsonb(rows, dumps=_dumps), "today": today})
    return len(found)


def with_trends(
    conn: Connection, states: Sequence[JobState], *, today: date, stored: bool, unregistered: bool = False
) -> list[JobState]:
    """The same states with trends as of `today`, of registered jobs or of all: as they are stored, or reckoned.

    Reckoned are those that are not stored, or too old; all of them unless `stored` will do.
    """
    jobs = [
        state.job
        for state in states
        if (state.registered or unregistered)
        and not (stored and state.trends_on is not None and state.trends_on >= today - _OLD)
    ]
    found = _reckon(conn, jobs, today) if jobs else {}
    return [replace(state, trends=found[state.job.name]) if state.job.name in found else state for state in states]


def _reckon(conn: Connection, jobs: Sequence[MonitoredJob], today: date) -> Mapping[str, tuple[Finding, ...]]:
    history = days(conn, [job.name for job in jobs], today - REACH)
    found: dict[str, tuple[Finding, ...]] = {}
    for job in jobs:
        try:
            found[job.name] = degradation(history[job.name], job, today=today)
        except (ArithmeticError, ValueError):
            log.exception("the trends of job %.200r cannot be reckoned", job.name)
            found[job.name] = ()
    return found


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
