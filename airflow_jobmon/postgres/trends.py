"""Finds the trends of jobs once a day and stores them in job_state, so that evaluations need not count days again."""

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
from airflow_jobmon.core.rules.trends import REACH, find_trends
from airflow_jobmon.postgres.day_stats import days
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.job_state import JobState
from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction
from airflow_jobmon.postgres.queries import load_queries

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

_OLD = timedelta(days=1)
"""Trends stored yesterday are new enough to be read; the first hourly check after midnight stores new ones."""


def store_trends(conn: Connection, names: Sequence[str], *, today: date, unregistered: bool = False) -> int:
    """Find and store the trends of these jobs that have none of `today` (UTC) yet; returns how many jobs had none.

    Of registered jobs, or with `unregistered` of all. No lock is held meanwhile: two processes that do this at once
    store the same, and trends that a crash loses are stored again.
    """
    queries = load_queries("trends")
    given = {"names": list(names), "today": today, "unregistered": unregistered}
    with transaction(conn, PLANNED_ONCE):
        due = [name for (name,) in conn.execute(queries["due"], given)]
        jobs = [state.job for state in IncidentRepository(conn).request_states(due)()] if due else []
        found = _find(conn, jobs, today) if jobs else {}
    if found:
        rows = [{"job_name": name, "trends": [trend.as_stored() for trend in trends]} for name, trends in found.items()]
        with transaction(conn, NOT_DURABLE | PLANNED_ONCE):
            conn.execute(queries["store"], {"rows": Jsonb(rows, dumps=_dumps), "today": today})
    return len(found)


def with_trends(
    conn: Connection, states: Sequence[JobState], *, today: date, stored: bool, unregistered: bool = False
) -> list[JobState]:
    """The same states with their trends as of `today`, of registered jobs, or with `unregistered` of all.

    With `stored`, trends that were stored lately are taken as they are; all others are found now.
    """
    jobs = [
        state.job
        for state in states
        if (state.registered or unregistered)
        and not (stored and state.trends_on is not None and state.trends_on >= today - _OLD)
    ]
    found = _find(conn, jobs, today) if jobs else {}
    return [replace(state, trends=found[state.job.name]) if state.job.name in found else state for state in states]


def _find(conn: Connection, jobs: Sequence[MonitoredJob], today: date) -> Mapping[str, tuple[Finding, ...]]:
    history = days(conn, [job.name for job in jobs], today - REACH)
    found: dict[str, tuple[Finding, ...]] = {}
    for job in jobs:
        try:
            found[job.name] = find_trends(history[job.name], job, today=today)
        except (ArithmeticError, ValueError):
            log.exception("the trends of job %.200r cannot be found", job.name)
            found[job.name] = ()
    return found


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
