"""Waits survive a restart of their server, here one of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from airflow_jobmon.waiting.run_poller import PollTimings, wait_for_run
from tests.support.logged_runs import log_run
from tests.support.postgres_server import Postgres, temporary_postgres
from tests.support.wait_until import TIMEOUT

MIDNIGHT = datetime(2025, 11, 13, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Postgres]:
    with temporary_postgres(synchronous_commit="on") as server:  # or what was just committed may die with it
        with connect(server.conninfo()) as conn:
            migrate(conn, Settings(), create_jobs_log=True)
        yield server


async def test_waits_survive_a_restart_of_the_server_however_long_it_takes(server, caplog):
    """Even one that takes longer than the limit for a server that was never reached."""
    caplog.set_level(logging.INFO, logger="airflow_jobmon.waiting.run_poller")
    timings = PollTimings(poll_interval=0.05, first_retry=0.02, longest_retry=0.1, refused_for=0.1, unreachable_for=0.1)

    async def resolve(conn_id):
        return server.conninfo()

    waiting = [
        asyncio.create_task(wait_for_run(Wait(f"job-{n}", MIDNIGHT), conn_id="x", resolve=resolve, timings=timings))
        for n in range(50)
    ]
    with connect(server.conninfo()) as conn:
        log_run(conn, "job-0", started_at=MIDNIGHT)
    await asyncio.wait_for(asyncio.shield(waiting[0]), TIMEOUT)  # so it was reached
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(server.start)
    with connect(server.conninfo()) as conn:
        for n in range(1, 50):
            log_run(conn, f"job-{n}", started_at=MIDNIGHT)
    runs = await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT)
    assert [run.job_name for run in runs] == [f"job-{n}" for n in range(50)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
