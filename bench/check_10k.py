"""A health check of 10,000 jobs over a long history, against the procedures' two queries for each job."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta

import psycopg

from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_jobs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.settings import Settings
from bench.environment import BenchEnvironment, BenchFailed, bench_environment
from bench.figures import Figure, milliseconds

JOBS = 10_000
SAMPLE, SCANNED = 300, 3
"""How many jobs are checked by the procedures' queries: with the index that `migrate` creates, and without it, as the
procedures leave the table. The time for all jobs is extrapolated from these."""

_RUNS = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status, error_message)
SELECT 'job-' || job, at, at + interval '12 seconds', 40,
    CASE WHEN random() < 0.01 AND n > 1 THEN 'failed' ELSE 'success' END, NULL
FROM generate_series(%(first)s::int, %(last)s::int) AS n, generate_series(1, %(jobs)s::int) AS job,
    LATERAL (SELECT clock_timestamp() - n * interval '1 day' * %(days)s::float8 / %(runs)s + interval '1 hour'
        - job * interval '1 second') AS moment (at)
"""
_DUE = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status)
SELECT 'job-' || job * 50, clock_timestamp() - interval '5 seconds', clock_timestamp(), 40, 'success'
FROM generate_series(1, 100) AS job
"""
_LATEST = """
WITH latest_run AS (
    SELECT started_at, completed_at, status, error_message, records_updated
    FROM public.jobs_log WHERE job_name = %s ORDER BY started_at DESC LIMIT 1
)
SELECT CASE WHEN lr.status = 'failed' THEN 'CRITICAL'
        WHEN now() - lr.started_at > INTERVAL '25 hours' THEN 'WARNING'
        WHEN lr.status = 'success' THEN 'OK' ELSE 'UNKNOWN' END,
    lr.started_at, lr.status, lr.records_updated, lr.error_message
FROM latest_run lr
"""
_RATE = """
SELECT count(*), count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status = 'failed'),
    round(100.0 * count(*) FILTER (WHERE status = 'success') / count(*), 2)
FROM public.jobs_log WHERE job_name = %s AND started_at > now() - INTERVAL '30 days'
"""
_SEALED = "SELECT 1 FROM airflow_jobmon.sealed_range WHERE sealed_from < current_date - 63"
SIZES = (100, 1000)
"""Runs of each job in the log: 1 million rows, then 10 million, each over so many days that 30 runs fall in 30."""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    figures: list[Figure] = []
    before: float | None = None
    with bench_environment() as place:
        conninfo = _migrated(place)
        with closing(connect(conninfo)) as conn:
            loaded = 0
            for size in SIZES:
                rows = f"{size * JOBS / 1e6:g} M rows"
                say(f"growing the log to {rows}")
                _load(conn, loaded + 1, size)
                loaded = size
                say(f"counting the days of {rows}")
                figures.append(_sealing(conn, rows))
                say(f"checking {JOBS} jobs over {rows}")
                evaluate_jobs(conn, Settings())  # both sizes then measure jobs that have been checked before
                recorded = _median(lambda: evaluate_jobs(conn, Settings()), 3)
                conn.execute("VACUUM ANALYZE airflow_jobmon.job_state")
                full = _median(lambda: assess_jobs(conn, Settings()), 5)
                theirs, unindexed = _procedures(conn, SAMPLE), _without_index(conn)
                figures.append(
                    Figure(
                        f"health check of {JOBS} jobs over {rows}",
                        "< 1 s, >= 50 x peer" + (", <= 1.2 x at 10 x the rows" if before else ""),
                        milliseconds(full),
                        f"{theirs:.1f} s (two queries a job; without an index {unindexed / 3600:.1f} h)",
                        f"{theirs / full:.1f} x faster" + (f", {full / before:.2f} x before" if before else ""),
                        full < 1 and theirs / full >= 50 and (before is None or full / before <= 1.2),
                    )
                )
                figures.append(Figure(f"the same, with health recorded, {rows}", "reported", milliseconds(recorded)))
                figures += _sweeps(conn, rows)
                before = full
    return figures


def _migrated(place: BenchEnvironment) -> str:
    conninfo = place.create_database("ours")
    place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
    return conninfo


def _load(conn: psycopg.Connection, first: int, last: int) -> None:
    """One run a day and job, back from an hour ago; older ones are added behind those that are there.

    As a restore loads them: without triggers, and with all days to be counted anew.
    """
    conn.execute("SET session_replication_role = replica")
    for start in range(first, last + 1, 50):
        end = min(start + 49, last)
        conn.execute(_RUNS, {"first": start, "last": end, "jobs": JOBS, "days": 1, "runs": 1})
    conn.execute("RESET session_replication_role")
    conn.execute("INSERT INTO airflow_jobmon.dirty DEFAULT VALUES")
    conn.execute("VACUUM ANALYZE public.jobs_log")


def _sealing(conn: psycopg.Connection, rows: str) -> Figure:
    """What watchers do in the background: count the days of the last nine weeks, which checks and trends look at."""
    began = time.monotonic()
    while not conn.execute(_SEALED).fetchone():
        if not seal_days(conn, most=timedelta(0)):
            raise BenchFailed("the days cannot be counted: an older transaction is open")
    took = time.monotonic() - began
    conn.execute("VACUUM ANALYZE airflow_jobmon.job_days")
    conn.execute("VACUUM ANALYZE airflow_jobmon.dirty")
    return Figure(f"counting nine weeks of {JOBS} jobs once, {rows}", "reported", f"{took:.1f} s")


def _sweeps(conn: psycopg.Connection, rows: str) -> list[Figure]:
    while evaluate_changed(conn, Settings()).jobs:
        pass
    conn.execute("VACUUM ANALYZE airflow_jobmon.job_state")
    idle = _median(lambda: evaluate_changed(conn, Settings()), 5)
    conn.execute(_DUE)
    began = time.monotonic()
    evaluated = evaluate_changed(conn, Settings())
    busy = time.monotonic() - began
    return [
        Figure(f"a sweep of {JOBS} jobs without a change, {rows}", "reported", milliseconds(idle)),
        Figure(f"a sweep with {evaluated.jobs} jobs changed, {rows}", "reported", milliseconds(busy)),
    ]


def _procedures(conn: psycopg.Connection, sample: int) -> float:
    """Seconds for all jobs, from a sample, over one open connection."""
    began = time.monotonic()
    for job in range(1, sample + 1):
        name = f"job-{job * (JOBS // sample)}"
        conn.execute(_LATEST, [name]).fetchall()
        conn.execute(_RATE, [name]).fetchall()
    return (time.monotonic() - began) / sample * JOBS


def _without_index(conn: psycopg.Connection) -> float:
    switches = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
    for switch in switches:
        conn.execute(f"SET {switch} = off".encode())
    try:
        return _procedures(conn, SCANNED)
    finally:
        for switch in switches:
            conn.execute(f"RESET {switch}".encode())


def _median(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        began = time.monotonic()
        work()
        found.append(time.monotonic() - began)
    return statistics.median(found)
