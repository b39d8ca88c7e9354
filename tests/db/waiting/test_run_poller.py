"""A thousand waits share one connection, and survive its loss."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import ConnectionProblem, SchemaProblem
from airflow_jobmon.waiting import run_poller
from airflow_jobmon.waiting.run_poller import PollTimings, wait_for_run
from tests.support.logged_runs import log_run
from tests.support.wait_until import TIMEOUT, eventually, wait_until

MIDNIGHT = datetime(2025, 11, 13, tzinfo=UTC)
QUICK = PollTimings(poll_interval=0.05, first_retry=0.02, longest_retry=0.1, refused_for=0.3, unreachable_for=0.6)


@pytest.fixture(autouse=True)
def no_poller_is_left():
    yield
    assert run_poller._pollers == {}


@pytest.fixture
def wait_for(database):
    """Start a wait in this loop, through one connection id."""

    async def resolve(conn_id):
        return f"{database} application_name=poller_test"

    def start(job_name="nightly", since=MIDNIGHT, *, conn_id="jobmon_default", resolve=resolve, timings=QUICK, **wait):
        return asyncio.create_task(
            wait_for_run(Wait(job_name, since, **wait), conn_id=conn_id, resolve=resolve, timings=timings)
        )

    return start


def connections(conn):
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'poller_test' AND datname = current_database()"
    )
    return conn.execute(query).fetchone()[0]


async def test_an_existing_run_ends_the_wait(conn, wait_for):
    log_run(conn, "nightly", started_at=MIDNIGHT, records_updated=7)
    run = await wait_for()
    assert (run.job_name, run.started_at, run.status, run.records_updated) == ("nightly", MIDNIGHT, "success", 7)


async def test_a_run_that_finishes_later_ends_the_wait(conn, wait_for):
    run_id = log_run(conn, "nightly", status="running", started_at=MIDNIGHT)
    waiting = wait_for()
    await eventually(lambda: connections(conn) == 1)
    await asyncio.sleep(3 * QUICK.poll_interval)
    assert not waiting.done()
    conn.execute(
        "UPDATE public.jobs_log SET status = 'success', completed_at = now() WHERE id::text = %s", [str(run_id)]
    )
    assert (await waiting).id == str(run_id)


@pytest.mark.parametrize(
    ("runs", "wait", "ends_with"),
    [
        pytest.param([(-1, "success", None, None)], {}, None, id="started before since"),
        pytest.param([(0, "success", None, None)], {}, 0, id="started exactly at since"),
        pytest.param([(5, "success", None, None), (2, "failed", None, "x")], {}, 1, id="the first, good or not"),
        pytest.param(
            [(2, "failed", None, "x"), (5, "success", None, None)], {"good_only": True}, 1, id="the first good"
        ),
        pytest.param([(2, "running", None, None)], {}, None, id="running is not finished"),
        pytest.param([(2, "exploded", None, None)], {}, None, id="an unknown word is not finished"),
        pytest.param([(2, "failed", None, "TEST ALERT: hello")], {}, None, id="a drill is not seen"),
        pytest.param(
            [(1, "success", 4, None), (2, "success", None, None), (3, "success", 5, None)],
            {"good_only": True, "min_records": 5},
            2,
            id="too few records or no count is not good",
        ),
        pytest.param(
            [(1, "success", None, None)], {"good_only": True, "min_records": 0}, 0, id="no count is 0 records"
        ),
    ],
)
async def test_the_first_finished_run_that_started_at_or_after_since_ends_the_wait(
    conn, wait_for, runs, wait, ends_with
):
    ids = [
        str(
            log_run(
                conn,
                "nightly",
                status=status,
                started_at=MIDNIGHT + timedelta(hours=hour),
                records_updated=records,
                error_message=error,
            )
        )
        for hour, status, records, error in runs
    ]
    waiting = wait_for(**wait)
    if ends_with is not None:
        assert (await waiting).id == ids[ends_with]
        return
    await eventually(lambda: connections(conn) == 1)
    await asyncio.sleep(3 * QUICK.poll_interval)
    assert not waiting.done()
    waiting.cancel()


async def test_a_thousand_waits_share_one_connection_and_wake_within_a_second(conn, wait_for):
    waiting = [wait_for(f"job-{nth}", timings=PollTimings()) for nth in range(1000)]
    await eventually(lambda: connections(conn) == 1)
    await asyncio.sleep(PollTimings().poll_interval)
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status) "
        "SELECT 'job-' || nth, %s, %s, 'success' FROM generate_series(0, 999) AS nth",
        [MIDNIGHT, MIDNIGHT],
    )
    assert connections(conn) == 1
    runs = await asyncio.gather(*waiting)
    assert [run.job_name for run in runs] == [f"job-{nth}" for nth in range(1000)]


async def test_the_connection_is_closed_after_the_last_wait(conn, wait_for):
    waiting = [wait_for(f"job-{nth}") for nth in range(3)]
    await eventually(lambda: connections(conn) == 1)
    waiting.pop().cancel()
    await asyncio.sleep(3 * QUICK.poll_interval)
    assert connections(conn) == 1
    for wait in waiting:
        wait.cancel()
    await eventually(lambda: connections(conn) == 0)


async def test_a_wait_that_starts_while_the_last_one_is_cancelled_gets_its_run(conn, wait_for):
    log_run(conn, "nightly", started_at=MIDNIGHT)
    for delay in (0, 0.0005, 0.001, 0.002, 0.005) * 6:
        leaving = wait_for("never")
        await asyncio.sleep(0.02)
        leaving.cancel()
        await asyncio.sleep(delay)
        assert (await asyncio.wait_for(wait_for(), TIMEOUT)).job_name == "nightly"


async def test_waits_cancelled_while_their_run_arrives_leave_no_poller(conn, wait_for):
    waiting = [wait_for(f"job-{nth % 5}") for nth in range(50)]
    await eventually(lambda: connections(conn) == 1)
    for nth in range(5):
        log_run(conn, f"job-{nth}", started_at=MIDNIGHT)
    await asyncio.sleep(QUICK.poll_interval)
    for wait in waiting[::2]:
        wait.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(end.status == "success" for end in ended if not isinstance(end, asyncio.CancelledError))
    await eventually(lambda: not run_poller._pollers)


async def test_a_killed_backend_is_replaced_and_logged_once(conn, wait_for, caplog):
    caplog.set_level(logging.INFO, logger="airflow_jobmon.waiting.run_poller")
    waiting = [wait_for(f"job-{nth}") for nth in range(20)]
    good = wait_for("good")
    log_run(conn, "good", started_at=MIDNIGHT)
    await good
    for said in (2, 4, 6):
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poller_test'")
        await eventually(lambda said=said: len(caplog.records) >= said)
    for nth in range(20):
        log_run(conn, f"job-{nth}", started_at=MIDNIGHT)
    assert len(await asyncio.gather(*waiting)) == 20
    said = [record.levelname for record in caplog.records]
    assert said == ["WARNING", "INFO"] * 3


async def test_a_query_that_hangs_is_abandoned_and_repeated(conn, database, wait_for):
    timings = PollTimings(poll_interval=0.05, poll_timeout=0.3, first_retry=0.02)
    waiting = wait_for(timings=timings)
    await eventually(lambda: connections(conn) == 1)
    await asyncio.sleep(0.2)
    with psycopg.connect(database) as blocker:
        blocker.execute("LOCK TABLE public.jobs_log IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(0.8)
        assert not waiting.done()
    log_run(conn, "nightly", started_at=MIDNIGHT)
    assert (await waiting).job_name == "nightly"


async def test_a_wait_that_the_server_refuses_does_not_stop_the_others(conn, wait_for):
    log_run(conn, "nightly", started_at=MIDNIGHT)
    good = [wait_for() for _ in range(5)]
    bad = wait_for("nul\0")
    results = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [run.job_name for run in results[:-1]] == ["nightly"] * 5
    assert "cannot be looked up" in str(results[-1])


@pytest.mark.parametrize(
    ("conninfo", "problem", "said"),
    [
        pytest.param("host=127.0.0.1 port=1 dbname=x", ConnectionProblem, "refused", id="nothing listens there"),
        pytest.param("{database} dbname=nowhere", ConnectionProblem, "does not exist", id="no such database"),
        pytest.param("{empty_database}", SchemaProblem, "airflow jobmon migrate", id="not migrated"),
    ],
)
async def test_a_database_that_is_never_reached_fails_all_waits_with_an_error_of_one_line(
    request, wait_for, conninfo, problem, said
):
    where = conninfo.format_map({name: request.getfixturevalue(name) for name in ("database", "empty_database")})

    async def resolve(conn_id):
        return where

    ended = await asyncio.gather(*[wait_for(f"job-{n}", resolve=resolve) for n in range(3)], return_exceptions=True)
    for end in ended:
        assert isinstance(end, problem)
        assert said in str(end)
        assert "\n" not in str(end)


async def test_a_connection_that_cannot_be_resolved_fails_the_wait(wait_for):
    async def resolve(conn_id):
        raise ConnectionProblem(f"Airflow has no connection {conn_id!r}")

    with pytest.raises(ConnectionProblem, match="has no connection 'jobmon_default'"):
        await wait_for(resolve=resolve)


async def test_a_wait_survives_a_server_that_is_unreachable_only_at_first(conn, database, wait_for):
    log_run(conn, "nightly", started_at=MIDNIGHT)
    tries = []

    async def resolve(conn_id):
        tries.append(conn_id)
        return database if len(tries) > 3 else "host=127.0.0.1 port=1"

    timings = replace(QUICK, refused_for=TIMEOUT)
    assert (await wait_for(resolve=resolve, timings=timings)).job_name == "nightly"


async def test_the_password_is_read_again_for_each_connection(conn, database, wait_for):
    asked = []

    async def resolve(conn_id):
        asked.append(conn_id)
        return f"{database} application_name=poller_test"

    waiting = wait_for(resolve=resolve)
    await eventually(lambda: connections(conn) == 1)
    conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poller_test'")
    await eventually(lambda: len(asked) == 2)
    waiting.cancel()


async def test_two_connection_ids_use_two_connections(conn, wait_for):
    waiting = [wait_for(conn_id="one"), wait_for(conn_id="one"), wait_for(conn_id="other")]
    await eventually(lambda: connections(conn) == 2)
    for wait in waiting:
        wait.cancel()


def test_two_event_loops_use_two_pollers(conn, wait_for):
    def in_a_separate_loop():
        async def wait():
            return await wait_for()

        runs.append(asyncio.run(wait()))

    runs = []
    threads = [threading.Thread(target=in_a_separate_loop, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: connections(conn) == 2)
    log_run(conn, "nightly", started_at=MIDNIGHT)
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(runs) == 2


def test_a_poller_ends_with_its_event_loop(conn, wait_for):
    async def leave_without_waiting():
        wait_for()
        await eventually(lambda: connections(conn) == 1)

    asyncio.run(leave_without_waiting(), debug=True)
    wait_until(lambda: connections(conn) == 0)


def test_no_task_is_left_in_the_debug_mode_of_asyncio(conn, wait_for):
    async def wait_and_be_cancelled():
        before = asyncio.all_tasks()
        waiting = [wait_for(f"job-{nth}") for nth in range(200)]
        await eventually(lambda: connections(conn) == 1)
        log_run(conn, "job-7", started_at=MIDNIGHT)
        await waiting.pop(7)
        for wait in waiting:
            wait.cancel()
        await eventually(lambda: asyncio.all_tasks() == before)

    asyncio.run(wait_and_be_cancelled(), debug=True)


def test_psycopg_is_imported_outside_the_event_loop():
    """The import takes a third of a second, which would block the other triggers of a triggerer."""
    program = """
import asyncio, sys, threading
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.waiting.run_poller import PollTimings, wait_for_run

threads = []
class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name == "psycopg":
            threads.append(threading.current_thread())
sys.meta_path.insert(0, Recorder())

async def resolve(conn_id):
    raise ConnectionProblem("not today")

async def main():
    try:
        await wait_for_run(Wait("nightly", None), conn_id="x", resolve=resolve, timings=PollTimings(refused_for=0))
    except ConnectionProblem:
        pass

asyncio.run(main())
assert threads and threading.main_thread() not in threads, threads
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_what_the_poller_logs_does_not_go_to_the_log_of_the_first_wait(conn, wait_for):
    import contextvars

    whose = contextvars.ContextVar("whose", default=None)
    seen = []

    async def resolve(conn_id):
        seen.append(whose.get())
        raise ConnectionProblem("not today")

    whose.set("the first task")
    with pytest.raises(ConnectionProblem):
        await wait_for(resolve=resolve)
    assert set(seen) == {None}
