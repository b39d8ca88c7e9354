"""A log that is unavailable, hangs, is locked or slow is reported within a second and recovers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from httpx import ASGITransport, AsyncClient
from psycopg.conninfo import conninfo_to_dict

from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.settings import Settings
from demo.ports import free_port
from tests.support.http_server import hang, http_server
from tests.support.logged_runs import log_run
from tests.support.network_link import Wire, wire

HEALTH = "/jobmon/check-job-health"
AWAY = "the job log's database does not respond; the connection is retried in the background"


@pytest.fixture(autouse=True)
def patience() -> None:
    """As little patience as users have."""


@pytest.fixture
def line(database, airflow_connection) -> Iterator[Wire]:
    """The network between the API server and the log."""
    with wire(int(conninfo_to_dict(database)["port"])) as made:
        airflow_connection("jobmon_default", f"{database} port={made.port}")
        yield made


@pytest.fixture
def evaluated(conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())


@asynccontextmanager
async def calling(client) -> AsyncIterator[AsyncClient]:
    """Send requests that may run in parallel."""
    made, headers = client
    transport = ASGITransport(made.app)
    async with AsyncClient(transport=transport, base_url="http://testserver", headers=headers, timeout=60) as calls:
        yield calls


@contextmanager
def locked(database, table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield holder
        holder.rollback()


async def until(ask, status: int):
    async with asyncio.timeout(60):
        while (answer := await ask()).status_code != status:
            await asyncio.sleep(0.05)
    return answer


async def occupy(calls, holder) -> list[asyncio.Task]:
    """Send a request on each of the four connections; return once all of them wait for the lock of `holder`."""
    waiting = [asyncio.create_task(calls.get(HEALTH)) for _ in range(4)]
    while holder.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (4,):
        await asyncio.sleep(0.01)
    return waiting


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_silent_network_is_reported_and_recovers_by_itself(client, line, evaluated, method):
    async with calling(client) as calls:
        await until(lambda: calls.request(method, HEALTH), 200)
        line.fall_silent()
        answers = await asyncio.gather(*(calls.request(method, HEALTH) for _ in range(12)))
        assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {(503, AWAY)}
        line.come_back()
        await until(lambda: calls.request(method, HEALTH), 200)


async def test_a_server_that_accepts_and_never_responds_is_reported(client, line, evaluated):
    line.fall_silent()
    async with calling(client) as calls:
        answer = await calls.get(HEALTH)
        assert (answer.status_code, answer.json()["detail"]) == (503, AWAY)
        line.come_back()
        await until(lambda: calls.get(HEALTH), 200)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_is_down_is_reported_and_found_again(
    client, postgres, database, airflow_connection, evaluated, method
):
    port = free_port()
    airflow_connection("jobmon_default", f"{database} port={port}")
    async with calling(client) as calls:
        answer = await calls.request(method, HEALTH)
        assert (answer.status_code, answer.json()["detail"]) == (503, AWAY)
        with wire(int(conninfo_to_dict(database)["port"]), port):
            await until(lambda: calls.request(method, HEALTH), 200)


async def test_a_locked_log_blocks_neither_airflow_nor_later_requests(client, jobmon_default, database, evaluated):
    async with calling(client) as calls:
        await until(lambda: calls.get(HEALTH), 200)
        with locked(database, "airflow_jobmon.job_state") as holder:
            waiting = await occupy(calls, holder)
            late = [asyncio.create_task(calls.get(HEALTH)) for _ in range(60)]
            assert (await calls.get("/api/v2/version")).status_code == 200
            assert (await calls.get("/api/v2/monitor/health")).status_code == 200
            assert not any(task.done() for task in waiting)
            assert {answer.status_code for answer in await asyncio.gather(*late)} == {503}
            assert not any(task.done() for task in waiting)
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_the_first_request_after_a_server_restart_succeeds(
    client, conn, jobmon_default, database, evaluated, monkeypatch
):
    from airflow_jobmon.web import database as pool

    monkeypatch.setattr(pool, "_PATIENCE", 5)
    async with calling(client) as calls:
        await until(lambda: calls.get(HEALTH), 200)
        with locked(database, "airflow_jobmon.job_state") as holder:
            waiting = await occupy(calls, holder)
        await asyncio.gather(*waiting)
        (cut_off,) = conn.execute(
            "SELECT count(pg_terminate_backend(pid, 20_000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert cut_off == 4
        assert (await calls.get(HEALTH)).status_code == 200


async def test_many_requests_wait_for_their_turn(client, jobmon_default, evaluated, monkeypatch):
    from airflow_jobmon.web import database

    monkeypatch.setattr(database, "_PATIENCE", 20)
    async with calling(client) as calls:
        answers = await asyncio.gather(*(calls.get("/jobmon/job-metrics?job_name=load") for _ in range(60)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_a_query_that_takes_too_long_is_reported_as_such(
    client, jobmon_default, database, evaluated, monkeypatch, setting, accept
):
    from airflow_jobmon.web import database as pool

    def impatient(conn: psycopg.Connection) -> None:
        conn.execute(f"SET {setting} = '50ms'")

    monkeypatch.setattr(pool, "_configure", impatient)
    async with calling(client) as calls:
        with locked(database, "airflow_jobmon.job_state"):
            answer = await calls.get("/jobmon/", headers={"Accept": accept})
    assert answer.status_code == 503
    assert "took too long" in answer.text
    assert "database is unavailable" not in answer.text


async def test_an_error_of_the_database_shows_no_details_to_the_caller(client, jobmon_default, conn, evaluated):
    conn.execute("ALTER TABLE airflow_jobmon.silences RENAME TO elsewhere")
    async with calling(client) as calls:
        answer = await calls.get("/jobmon/")
    assert answer.status_code == 500
    assert "SQLSTATE 42P01" in answer.text
    assert "silences" not in answer.text


async def test_a_hanging_channel_does_not_block_the_caller_for_ever(client, conn, jobmon_default, monkeypatch):
    from airflow_jobmon.web import check_runner

    monkeypatch.setattr(check_runner, "_PATIENCE", 5)  # a check is done by then on a busy machine, too
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
    with http_server(hang) as hook:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": hook.url}))
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "hook")
        log_run(conn, "load", "failed", error_message="disk full")
        async with calling(client) as calls:
            first = await calls.post(HEALTH)
            assert (first.status_code, first.json()["status"]) == (503, "critical")
            monkeypatch.setattr(check_runner, "_PATIENCE", 0.5)
            second = await calls.post(HEALTH)
            assert second.status_code == 503
            assert "did not finish within" in second.json()["detail"]
            assert (await calls.get(HEALTH)).json()["status"] == "critical"
