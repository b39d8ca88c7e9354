"""The doctor on a standby, on a subscriber of logical replication, and with a full notification queue."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import run_database_checks
from tests.support.logged_runs import log_run
from tests.support.postgres_server import Postgres, temporary_postgres
from tests.support.replicas import standby, subscription
from tests.support.trigger_events import stored_events
from tests.support.wait_until import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A cluster that can be followed, has the smallest notification queue, and prepares no transactions."""
    settings = {"wal_level": "logical", "shared_buffers": "16MB"}
    with temporary_postgres(**settings) as probe, psycopg.connect(probe.conninfo()) as conn:
        if conn.info.server_version >= 170000:
            settings["max_notify_queue_pages"] = "64"
    with temporary_postgres(**settings) as started:
        for name in ("main", "other"):
            with psycopg.connect(started.conninfo(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {name}")
            with connect(started.conninfo(name)) as conn:
                migrate(conn, Settings(), create_jobs_log=True)
        yield started


def test_a_server_without_prepared_transactions_is_ok(server):
    seen = run_database_checks(server.conninfo("main"))
    assert seen.not_ok() == {"watchers", "channels"}
    assert seen.only("prepared transactions").seen == "the server does not allow prepared transactions"


def test_a_standby_is_wrong(server):
    with standby(server) as copy:
        seen = run_database_checks(copy.conninfo("main"))
    assert seen.not_ok() == {"server", "listen", "watchers", "channels"}
    assert seen.only("server").state is CheckState.WRONG
    assert f"127.0.0.1:{copy.port} is a standby" in seen.only("server").seen
    assert "primary" in seen.only("server").advice
    assert "cannot execute LISTEN during recovery" in seen.only("listen").seen
    assert seen.only("trigger").state is CheckState.OK


def test_replicated_rows_need_a_trigger_that_always_fires(server):
    main, other = server.conninfo("main"), server.conninfo("other")
    with connect(main) as job, connect(other) as conn, subscription(server, "main", "other", "public.jobs_log"):

        def fail(job_name: str) -> None:
            log_run(job, job_name, "failed")
            arrived = "SELECT FROM public.jobs_log WHERE job_name = %s"
            wait_until(lambda: conn.execute(arrived, [job_name]).fetchone() == ())

        fail("first")
        assert stored_events(conn) == []
        replication = run_database_checks(other).only("replication")
        assert replication.state is CheckState.WRONG
        assert "subscription jobs writes to public.jobs_log by logical replication" in replication.seen
        assert run_database_checks(main).only("replication").state is CheckState.OK

        conn.execute(replication.advice)
        fail("second")
        assert [name for name, _ in stored_events(conn)] == ["second"]
        assert (
            run_database_checks(other).only("replication").seen
            == "the job log is replicated from elsewhere, and the triggers fire for it"
        )


def test_a_notification_queue_that_fills_up(server):
    main = server.conninfo("main")
    with connect(main) as conn, psycopg.connect(main, application_name="sleepy") as sleepy:
        if conn.info.server_version < 170000:
            pytest.skip("before PostgreSQL 17 the queue cannot be made small enough to fill it in a test")
        sleepy.execute("LISTEN filler")
        sleepy.commit()
        sleepy.execute("SELECT 1")  # its transaction stays open, so it takes nothing
        seen = []
        for fill in (10, 40):
            notify(conn, fill)
            seen.append(run_database_checks(main))
        assert {found.only("listen").state for found in seen} == {CheckState.OK}
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            notify(conn, 100)
        full = run_database_checks(main)
        sleepy.rollback()
    queue = [found.only("notification queue") for found in seen]
    assert [found.state for found in queue] == [CheckState.WARNING, CheckState.WRONG]
    assert "the triggers have stopped notifying" in queue[1].seen
    assert "sleepy" in queue[1].advice
    assert "too many notifications in the NOTIFY queue" in full.only("listen").seen


def notify(conn: psycopg.Connection, times: int) -> None:
    """Send `times` notifications of one page each."""
    for number in range(times):
        conn.execute("SELECT pg_notify('filler', %s)", [f"{number:07000}"])
