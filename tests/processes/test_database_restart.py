"""Postgres stopped and killed under a listener and a waiting sensor: both are back in seconds, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from airflow_jobmon.triggers import JobsLogTrigger
from tests.processes.conftest import Sinks, StartListener
from tests.support.logged_runs import log_run
from tests.support.postgres_server import Postgres, temporary_postgres
from tests.support.wait_until import TIMEOUT, wait_until


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A cluster that tests stop and kill; committed data survives."""
    with temporary_postgres(synchronous_commit="on") as server:
        with connect(server.conninfo()) as conn:
            migrate(conn, Settings(), create_jobs_log=True)
        yield server


@pytest.fixture
def waiting_sensor(cluster: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    """Run the trigger of a deferred sensor as a triggerer does; return its events, one once outside-load succeeds."""
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", cluster.uri())
    events: list[dict[str, object]] = []
    loop = asyncio.new_event_loop()

    async def wait() -> None:
        trigger = JobsLogTrigger(job_name="outside-load", since="2025-01-01T00:00:00Z")
        events.extend([event.payload async for event in trigger.run()])

    task = loop.create_task(wait())
    thread = threading.Thread(target=loop.run_until_complete, args=(asyncio.wait([task]),))
    thread.start()
    yield events
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()


def pull_the_plug(server: Postgres) -> None:
    server.kill()
    server.start()


restarts = pytest.mark.parametrize(
    "restart", [pytest.param(Postgres.restart, id="stopped"), pytest.param(pull_the_plug, id="killed")]
)


def fail(server: Postgres, job_name: str) -> None:
    """Log a failed run, retrying while the server is unavailable."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            with connect(server.conninfo()) as conn:
                log_run(conn, job_name, status="failed", error_message=f"exit code 1 of {job_name}")
        except (psycopg.Error, ConnectionProblem):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def unfinished(server: Postgres) -> int:
    with connect(server.conninfo()) as conn:
        query = "SELECT count(*) FROM airflow_jobmon.deliveries WHERE state <> 'sent'"
        return int(conn.execute(query).fetchone()[0])


@restarts
def test_failures_before_during_and_after_an_outage_are_delivered(
    cluster: Postgres,
    sinks: Sinks,
    start_listener: StartListener,
    waiting_sensor: list[dict[str, object]],
    restart: Callable[[Postgres], None],
    record_property: Callable[[str, object], None],
):
    listener = start_listener(cluster.conninfo())
    listener.until_it_watches()
    fail(cluster, "load-1")
    for sink in sinks.all.values():
        sink.until_received({"load-1"})
    sinks.hook.gate.clear()
    fail(cluster, "load-2")
    sinks.hook.until_received({"load-2"})
    wait_until(lambda: unfinished(cluster) == 1, "only the hook to wait for its answer")
    restart(cluster)
    back = time.monotonic()
    sinks.hook.gate.set()  # accepted, and cannot be marked as sent: the connection is gone
    fail(cluster, "load-3")
    with connect(cluster.conninfo()) as conn:
        log_run(conn, "outside-load", records_updated=7)
    for name in ("slack", "mail"):
        sinks.all[name].until_received({"load-1", "load-2", "load-3"})
    record_property("seconds until it delivered again", time.monotonic() - back)
    wait_until(lambda: waiting_sensor, "the sensor")
    assert waiting_sensor[0]["run"]["records_updated"] == 7  # type: ignore[index]
    with connect(cluster.conninfo()) as conn:
        conn.execute(
            "UPDATE airflow_jobmon.messages SET leased_until = now() WHERE channel = 'hook' AND state = 'open'"
        )
    wait_until(lambda: unfinished(cluster) == 0, "every delivery to be marked as sent")
    assert sinks.hook.jobs == {"load-1", "load-2", "load-3"}
    assert {name: sink.repeats() for name, sink in sinks.all.items()} == {"hook": 1, "slack": 0, "mail": 0}
    assert listener.runs


@restarts
def test_five_restarts_while_jobs_keep_failing_lose_nothing(
    cluster: Postgres, sinks: Sinks, start_listener: StartListener, restart: Callable[[Postgres], None]
):
    start_listener(cluster.conninfo()).until_it_watches()
    over, failed = threading.Event(), []

    def keep_failing() -> None:
        while not over.wait(0.03):
            name = f"load-{len(failed) + 1}"
            fail(cluster, name)
            failed.append(name)

    writer = threading.Thread(target=keep_failing)
    writer.start()
    try:
        for _ in range(5):
            seen = len(sinks.slack.jobs)
            wait_until(lambda seen=seen: len(sinks.slack.jobs) > seen, "any alert after the restart")
            restart(cluster)
    finally:
        over.set()
        writer.join()
    for sink in sinks.all.values():
        sink.until_received(failed)
    with connect(cluster.conninfo()) as conn:
        conn.execute("UPDATE airflow_jobmon.messages SET leased_until = now() WHERE state = 'open'")
    wait_until(lambda: unfinished(cluster) == 0, "every delivery to be marked as sent")
    assert all(sink.repeats() <= 5 for sink in sinks.all.values())
