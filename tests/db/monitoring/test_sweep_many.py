"""Ten thousand jobs: all noticed, once, by two watchers at once, in a loop that goes on running."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.sweep import changed_jobs
from airflow_jobmon.settings import Settings
from tests.support.loop_lag import measured_lag
from tests.support.running_watchers import watching

JOBS = 10_000
SETTINGS = Settings(channels=("slack",), sweep_interval=timedelta(seconds=1))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def log_runs(conn, hours_ago: float) -> None:
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n, now() - %(ago)s, now() - %(ago)s + interval '10 seconds', 'success'"
        f" FROM generate_series(1, {JOBS}) AS n",
        {"ago": timedelta(hours=hours_ago)},
    )


@pytest.fixture
def many_registered(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
    jobs = [MonitoredJob(name=f"job {n}", schedule="7 * * * *", timezone=ZONES[n % 5]) for n in range(1, JOBS // 2)]
    jobs += [MonitoredJob(name=f"job {n}", every="1h") for n in range(JOBS // 2, JOBS + 1)]
    apply_jobs(conn, jobs, source="test")
    conn.execute("ANALYZE airflow_jobmon.jobs")


def alert_events(conn) -> list[tuple[str, str, int]]:
    return conn.execute(
        "SELECT kind, event, count(*)::integer FROM airflow_jobmon.alerts GROUP BY kind, event ORDER BY kind, event"
    ).fetchall()


def full_collections() -> int:
    """How many full garbage collections this process has made."""
    return gc.get_stats()[2]["collections"]


async def until_alerted(conn, expected) -> None:
    while await asyncio.to_thread(alert_events, conn) != expected:
        await asyncio.sleep(0.1)


async def test_two_watchers_find_each_of_ten_thousand_due_jobs_once_and_block_no_loop(conn, database, many_registered):
    log_runs(conn, 4)
    conn.execute("ANALYZE jobs_log")
    before = full_collections()
    async with (
        asyncio.timeout(120),
        measured_lag() as lag,
        watching(database, SETTINGS),
        watching(database, SETTINGS, kind="listen", delivers=True),
    ):
        await until_alerted(conn, [("missed", "opened", JOBS)])
    assert lag.ticks > 100
    # What the code does it does in each of the twenty batches and in both watchers; a machine pauses once.
    assert len(lag.stalls) <= 1, lag.stalls
    # Each takes longer, the more the process holds: in a triggerer more than 0.1 s.
    assert full_collections() - before <= 1
    assert changed_jobs(conn) == []
    incidents = "SELECT count(*), count(DISTINCT job_name), count(resolved_at) FROM airflow_jobmon.incidents"
    assert conn.execute(incidents).fetchone() == (JOBS, JOBS, 0)
