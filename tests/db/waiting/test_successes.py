"""Subscribers are notified of each success, of several at once together, and after a restart of those they missed."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.waiting import run_poller
from airflow_jobmon.waiting.run_poller import PollTimings, new_successes, wait_for_run
from tests.support.logged_runs import log_run
from tests.support.wait_until import eventually

MIDNIGHT = datetime(2025, 11, 13, tzinfo=UTC)
QUIET = 0.25


@pytest.fixture(autouse=True)
def no_poller_is_left():
    yield
    assert run_poller._pollers == {}


@pytest.fixture
def listening(database, conn):
    """Collect the notifications about a job, from the moment the subscription is in place."""

    async def resolve(conn_id):
        return f"{database} application_name=poller_test"

    @asynccontextmanager
    async def listen(job_name="nightly", conn_id="jobmon_default", quiet=QUIET):
        heard = []

        async def hear():
            timings = PollTimings(poll_interval=0.03, first_retry=0.02, longest_retry=0.1, quiet=quiet)
            async with aclosing(
                new_successes(job_name, conn_id=conn_id, resolve=resolve, timings=timings)
            ) as notifications:
                async for notification in notifications:
                    heard.append(notification)  # noqa: PERF401 - read while it grows

        task = asyncio.create_task(hear())
        query = "SELECT count(*) FROM airflow_jobmon.asset_marks WHERE job_name = %s"
        await eventually(lambda: conn.execute(query, [job_name]).fetchone()[0] == 1)
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return listen


def marked(conn, run_id):
    query = "SELECT count(*) FROM airflow_jobmon.asset_marks, unnest(announced) AS run WHERE run LIKE %s"
    return conn.execute(query, [f"{run_id}@%"]).fetchone()[0] > 0


async def test_a_success_is_notified_once(conn, listening):
    async with listening() as heard:
        run_id = log_run(conn, "nightly", started_at=MIDNIGHT, records_updated=7)
        await eventually(lambda: heard)
        await eventually(lambda: marked(conn, run_id))
        await asyncio.sleep(2 * QUIET)
    [notification] = heard
    assert notification.count == 1
    assert (notification.newest.id, notification.newest.job_name) == (str(run_id), "nightly")
    assert (notification.newest.status, notification.newest.records_updated) == ("success", 7)


async def test_existing_successes_are_not_notified_at_the_first_subscription_to_a_job(conn, listening):
    log_run(conn, "nightly", started_at=MIDNIGHT)
    async with listening() as heard:
        await asyncio.sleep(2 * QUIET)
        assert heard == []
        log_run(conn, "nightly", started_at=MIDNIGHT + timedelta(hours=1))
        await eventually(lambda: heard)


async def test_failures_drills_and_other_jobs_are_not_notified(conn, listening):
    async with listening() as heard:
        log_run(conn, "nightly", status="failed", started_at=MIDNIGHT, error_message="boom")
        log_run(conn, "nightly", status="failed", started_at=MIDNIGHT, error_message="TEST ALERT")
        log_run(conn, "nightly", status="running", started_at=MIDNIGHT)
        log_run(conn, "another", started_at=MIDNIGHT)
        await asyncio.sleep(2 * QUIET)
        assert heard == []


async def test_many_successes_at_once_are_a_few_notifications_that_count_all_of_them(conn, listening):
    began = time.monotonic()
    async with listening() as heard:
        for minute in range(60):
            log_run(conn, "nightly", started_at=MIDNIGHT + timedelta(minutes=minute))
        await eventually(lambda: sum(notification.count for notification in heard) >= 60)
        await asyncio.sleep(2 * QUIET)
    assert sum(notification.count for notification in heard) == 60
    assert len(heard) <= 2 + (time.monotonic() - began) / QUIET
    assert heard[-1].newest.started_at == MIDNIGHT + timedelta(minutes=59)


async def test_successes_during_a_downtime_are_notified_once_after_the_restart(conn, listening):
    log_run(conn, "nightly", started_at=MIDNIGHT)
    async with listening():
        pass
    for hour in (1, 2):
        missed = log_run(conn, "nightly", started_at=MIDNIGHT + timedelta(hours=hour))
    async with listening() as heard:
        await eventually(lambda: heard)
        await eventually(lambda: marked(conn, missed))
        await asyncio.sleep(2 * QUIET)
        assert [(notification.newest.id, notification.count) for notification in heard] == [(str(missed), 2)]
    async with listening() as heard:
        await asyncio.sleep(2 * QUIET)
        assert heard == []


async def test_a_success_notified_just_before_the_end_is_notified_again(conn, listening):
    """The event may be lost with the process, so the mark is saved only after the event had time to leave it."""
    async with listening(quiet=600) as heard:
        run_id = log_run(conn, "nightly", started_at=MIDNIGHT)
        await eventually(lambda: heard)
        assert not marked(conn, run_id)
    async with listening() as heard:
        await eventually(lambda: heard)
        assert heard[0].newest.id == str(run_id)


async def test_a_run_that_becomes_visible_after_newer_ones_is_notified(database, conn, listening):
    import psycopg

    async with listening() as heard:
        with psycopg.connect(database) as slow:
            late = log_run(slow, "nightly", started_at=MIDNIGHT)
            newer = log_run(conn, "nightly", started_at=MIDNIGHT + timedelta(hours=1))
            await eventually(lambda: marked(conn, newer))
        await eventually(lambda: len(heard) == 2)
    assert [notification.newest.id for notification in heard] == [str(newer), str(late)]


async def test_a_killed_backend_loses_no_success(conn, listening):
    async with listening() as heard:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poller_test'")
        log_run(conn, "nightly", started_at=MIDNIGHT)
        await eventually(lambda: heard)


async def test_sensors_and_assets_share_one_connection(database, conn, listening):
    async with listening(), listening("another"):

        async def resolve(conn_id):
            raise AssertionError("the poller is already connected")

        waiting = asyncio.create_task(wait_for_run(Wait("third", MIDNIGHT), conn_id="jobmon_default", resolve=resolve))
        log_run(conn, "third", started_at=MIDNIGHT)
        assert (await waiting).job_name == "third"
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'poller_test' "
        query += "AND datname = current_database()"
        assert conn.execute(query).fetchone()[0] == 1
