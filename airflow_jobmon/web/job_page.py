"""A job's own page, where an alert's View Logs leads: its health, its recent runs with their errors, its alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import psycopg

from airflow_jobmon.core.alerts import KIND_TITLES
from airflow_jobmon.core.runs import Run
from airflow_jobmon.core.times import to_the_second
from airflow_jobmon.judging import assess_jobs
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings


def job_page(conn: psycopg.Connection[Any], settings: Settings, job_name: str) -> str:
    """The page as HTML, judged now and recording nothing.

    Raises UnknownJob for a job nobody knows.
    """
    queries = load_queries("page")
    health = next(iter(assess_jobs(conn, settings, [job_name])), None)  # none: disabled in the registry
    given = {"job_name": job_name}
    runs = [
        Run(run_id, name, started_at, completed_at, status, records, error)
        for run_id, name, started_at, completed_at, status, records, error in conn.execute(
            queries["recent_runs"], given
        )
    ]
    alerts = [
        (to_the_second(at), KIND_TITLES.get(kind, kind), event, deliveries or "no channel")
        for at, kind, event, deliveries in conn.execute(queries["recent_alerts"], given)
    ]
    return _template().render(
        job_name=job_name,
        health=health,
        runs=runs,
        alerts=alerts,
        checked_at=datetime.now(UTC),
    )


@cache
def _template() -> jinja2.Template:
    source = (files("airflow_jobmon.web") / "job_page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["moment"] = to_the_second
    return environment.from_string(source)
