"""Archiving old runs, into the database's archive and into files, against the procedures' plain DELETE."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

import psycopg
from psycopg import sql

from airflow_jobmon.archive.archiving import archive_runs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.runtime.storage import StorageFolder
from bench.environment import BenchEnvironment, BenchFailed, bench_environment
from bench.figures import Figure

ROWS = 400_000
SHAPES = {"100 jobs": 100, "10,000 jobs": 10_000}
"""Some jobs that run often, and many that run daily; all runs but the newest of each are old."""

_RUNS = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status, error_message)
SELECT 'job-' || n %% %(jobs)s, at, at + interval '12 seconds', 40,
    CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'success' END,
    CASE WHEN n %% 50 = 0 THEN 'Connection timeout after 3 retries' END
FROM generate_series(1, %(rows)s::int) AS n,
    LATERAL (SELECT clock_timestamp() - interval '460 days' + n * interval '360 days' / %(rows)s) AS moment (at)
"""
_DELETE = "DELETE FROM public.jobs_log WHERE started_at < now() - INTERVAL '90 days'"
_BY_HAND = f"WITH gone AS ({_DELETE} RETURNING *) INSERT INTO public.old SELECT * FROM gone"


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    figures: list[Figure] = []
    with bench_environment() as place:
        for shape, jobs in SHAPES.items():
            say(f"logging {ROWS:,} old runs of {shape}")
            name = f"jobs_{jobs}"
            _log(place, name, jobs)
            moved = _archive(place, name, None)
            deleted, by_hand = _statement(place, name, _DELETE), _statement(place, name, _BY_HAND)
            figures.append(
                Figure(
                    f"archive {ROWS:,} runs of {shape}",
                    ">= 50,000 rows/s",
                    f"{moved:,.0f} rows/s",
                    f"{by_hand:,.0f} rows/s (one statement by hand into a table alike; "
                    f"{deleted:,.0f} for a DELETE that keeps nothing)",
                    f"{moved / by_hand:.2f} x",
                    moved >= 50_000,
                )
            )
            say(f"exporting the runs of {shape}")
            exported = _archive(place, name, f"file://{place.directory}/{name}")
            figures.append(Figure(f"the same to files, read back, {shape}", "reported", f"{exported:,.0f} rows/s"))
    return figures


def _log(place: BenchEnvironment, name: str, jobs: int) -> None:
    conninfo = place.create_database(name)
    place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment(name))
    with closing(connect(conninfo)) as conn:
        conn.execute(_RUNS, {"jobs": jobs, "rows": ROWS})
        conn.execute("VACUUM ANALYZE public.jobs_log")


def _archive(place: BenchEnvironment, name: str, to: str | None) -> float:
    """Rows a second, and nothing but what should stay is left."""
    with closing(connect(_copy(place, name))) as conn:
        report = archive_runs(conn, "90d", to=to, open_folder=StorageFolder)
        if conn.execute("SELECT count(*) FROM public.jobs_log").fetchone() != (ROWS - report.runs,):
            raise BenchFailed("what was archived and what is left are not what was there")
    return report.runs / report.seconds


def _statement(place: BenchEnvironment, name: str, statement: str) -> float:
    """Rows a second of one statement, on the procedures' table: without our triggers."""
    with closing(connect(_copy(place, name))) as conn:
        conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
        conn.execute("CREATE TABLE public.old (LIKE public.jobs_log INCLUDING ALL)")
        began = time.monotonic()
        rows = conn.execute(statement.encode()).rowcount
        return rows / (time.monotonic() - began)


def _copy(place: BenchEnvironment, name: str) -> str:
    """A database with the same content, not used before."""
    with psycopg.connect(place.server.conninfo(), autocommit=True) as admin:
        copy = sql.Identifier(f"{name}_copy")
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(copy))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, sql.Identifier(name)))
        admin.execute("CHECKPOINT")
    return place.server.conninfo(f"{name}_copy")
