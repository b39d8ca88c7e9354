"""The gauges that Prometheus scrapes: stored health, incidents, deliveries and watchers.

Series: up to twelve per watched job, one per open incident, up to six per channel, five for the monitor itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from airflow_jobmon import __version__
from airflow_jobmon.core.model.runs import FAILED, SUCCESS
from airflow_jobmon.core.rendering.prometheus_text import Family, label_set
from airflow_jobmon.postgres.queries import load_queries

_OF_JOBS = (
    ("jobmon_job_health", "Health of the job: 0 ok, 1 unknown, 2 warning, 3 critical.", ""),
    ("jobmon_job_last_run_timestamp_seconds", "Start of the newest run.", "seconds"),
    ("jobmon_job_last_success_timestamp_seconds", "Start of the newest successful run.", "seconds"),
    ("jobmon_job_last_run_duration_seconds", "Duration of the newest run, once it has finished.", "seconds"),
    ("jobmon_job_last_run_records", "Records that the newest run updated.", ""),
    (
        "jobmon_job_success_ratio",
        "Share of finished runs that succeeded in the job's window.",
        "ratio",
    ),
    ("jobmon_job_consecutive_failures", "Finished runs that failed since the last success.", ""),
    ("jobmon_job_next_due_timestamp_seconds", "After this the next run is missed.", "seconds"),
    (
        "jobmon_job_duration_median_seconds",
        "Durations of 30 days: the median of each day's median.",
        "seconds",
    ),
    ("jobmon_job_duration_p95_seconds", "Durations of 30 days: the median of each day's 95th percentile.", "seconds"),
)
_RUNS = Family("jobmon_job_runs", "Finished runs in the job's window, by outcome.", ())
_WATCH = (
    ("jobmon_watchers", "Watchers alive in the last minute.", ""),
    ("jobmon_watcher_heartbeat_age_seconds", "Time since the newest heartbeat of any watcher.", "seconds"),
    ("jobmon_sweep_lag_seconds", "How far evaluation is behind events and deadlines.", "seconds"),
    ("jobmon_check_age_seconds", "Time since the last full check of all jobs.", "seconds"),
)


def gauges(conn: psycopg.Connection[Any]) -> list[Family]:
    """Every metric family with its current values."""
    queries = load_queries("prometheus")
    with conn.cursor(row_factory=namedtuple_row) as cursor:
        jobs = cursor.execute(queries["job_gauges"]).fetchall()
        incidents: list[Any] = cursor.execute(queries["incident_gauges"]).fetchall()
        deliveries = cursor.execute(queries["delivery_gauges"]).fetchall()
        watch = cursor.execute(queries["watch_gauges"]).fetchone()
    return [
        Family("jobmon_build_info", "The version of airflow_jobmon.", [(label_set({"version": __version__}), 1.0)]),
        *_of_jobs(jobs),
        Family(
            "jobmon_open_incidents",
            "Incidents that are open now.",
            [
                (label_set({"job_name": row.job_name, "kind": row.kind, "severity": row.severity}), 1.0)
                for row in incidents
            ],
        ),
        *_of_deliveries(deliveries),
        *(
            Family(name, meaning, [("", value)], unit)
            for name, meaning, unit in _WATCH
            if (value := getattr(watch, name)) is not None
        ),
    ]


def _of_jobs(rows: Sequence[Any]) -> Iterator[Family]:
    labeled = [(label_set({"job_name": row.job_name}), row) for row in rows]
    for name, meaning, unit in _OF_JOBS:
        values = [(label, value) for label, row in labeled if (value := getattr(row, name)) is not None]
        yield Family(name, meaning, values, unit)
    outcomes = [
        (f'{label[:-1]},status="{status}"}}', value)
        for label, row in labeled
        for status in (SUCCESS, FAILED)
        if (value := getattr(row, status)) is not None
    ]
    yield Family(_RUNS.name, _RUNS.meaning, outcomes)


def _of_deliveries(rows: Sequence[Any]) -> Iterator[Family]:
    counted = [(label_set({"channel": row.channel, "state": row.state}), row.deliveries) for row in rows]
    yield Family(
        "jobmon_deliveries", "Deliveries of the last 24 hours' alerts and all pending ones, by state.", counted
    )
    sent = [(label_set({"channel": row.channel}), row) for row in rows if row.state == "sent"]
    yield Family(
        "jobmon_delivery_latency_median_seconds",
        "Time from creating an alert to its acceptance by the channel's server, last 24 hours.",
        [(labels, row.median) for labels, row in sent],
        "seconds",
    )
    yield Family(
        "jobmon_delivery_latency_p95_seconds",
        "The same, 95th percentile.",
        [(labels, row.p95) for labels, row in sent],
        "seconds",
    )
