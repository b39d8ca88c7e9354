"""The watcher: reports alerts that are due, survives lost connections, and notices deadlines by the clock."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events_by_job
from tests.support.logged_runs import log_run
from tests.support.running_watchers import watching
from tests.support.wait_until import eventually

SETTINGS = Settings(channels=("slack",), sweep_interval=timedelta(milliseconds=300))


async def test_a_failed_run_wakes_it_without_waiting_for_a_sweep(conn, database):
    async with watching(database) as running:
        await running.until_connected()
        assert running.watcher.status.listens
        log_run(conn, "load", status="failed")
        await running.until(1)
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]


async def test_a_run_that_failed_before_it_started_is_found_at_its_start(conn, database):
    log_run(conn, "load", status="failed")
    async with watching(database) as running:
        await running.until(1)
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]


async def test_it_reconnects_after_its_connections_are_cut_and_catches_up(conn, database):
    async with watching(database) as running:
        await running.until_connected()
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        log_run(conn, "load", status="failed")
        await running.until(1)
        assert running.watcher.status.connected


async def test_a_missed_run_is_found_by_the_sweep(conn, database):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    log_run(conn, "load", started_at=datetime.now(UTC) - timedelta(hours=26))
    async with watching(database, SETTINGS) as running:
        await running.until(1)
    assert alert_events_by_job(conn) == [("load", "missed", "opened")]


async def test_it_waits_for_a_database_that_is_not_yet_migrated(empty_database, postgres):
    async with watching(empty_database) as running:
        await eventually(lambda: running.watcher.status.error)
        assert "airflow jobmon migrate" in running.watcher.status.error
        assert not running.watcher.status.connected


async def test_it_has_a_heartbeat_while_it_runs_and_none_after_it_stopped(conn, database):
    async with watching(database) as running:
        await running.until_connected()
        assert conn.execute("SELECT kind, delivers, listens FROM airflow_jobmon.watchers").fetchall() == [
            ("trigger", False, True)
        ]
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (0,)


async def test_it_reports_again_alerts_that_no_process_delivers(conn, database):
    log_run(conn, "load", status="failed")
    async with watching(database, SETTINGS) as running:
        await running.until(2)
    assert len(alert_events_by_job(conn)) == 1


async def test_it_leaves_alerts_to_a_process_that_delivers_by_itself_and_takes_over_if_that_one_does_not(
    conn, database
):
    conn.execute(
        "INSERT INTO airflow_jobmon.watchers (id, kind, host, pid, delivers, listens) "
        "VALUES (gen_random_uuid(), 'listen', 'elsewhere', 1, true, true)"
    )
    async with watching(database) as running:
        await running.until_connected()
        log_run(conn, "load", status="failed")
        await running.until(1)


async def test_two_watchers_evaluate_each_failure_once(conn, database):
    async with watching(database) as one, watching(database, kind="listen", delivers=True) as other:
        await one.until_connected()
        await other.until_connected()
        for n in range(50):
            log_run(conn, f"job {n}", status="failed")
        await eventually(lambda: len(alert_events_by_job(conn)) >= 50)
    assert len({name for name, _, _ in alert_events_by_job(conn)}) == len(alert_events_by_job(conn)) == 50


async def test_cancelling_it_closes_both_its_connections(conn, database):
    async with watching(database) as running:
        await running.until_connected()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await eventually(lambda: conn.execute(others).fetchone() == (0,))


@pytest.mark.parametrize("cut", ["listener", "worker"])
async def test_it_notices_the_loss_of_either_of_its_two_connections(conn, database, cut):
    async with watching(database, SETTINGS) as running:
        await running.until_connected()
        query = "query LIKE 'LISTEN%'" if cut == "listener" else "query NOT LIKE 'LISTEN%'"
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND {query}"
        )
        with contextlib.suppress(psycopg.Error):
            log_run(conn, "load", status="failed")
        await running.until(1)


async def test_it_makes_the_hourly_check_if_no_dag_does(conn, database):
    log_run(conn, "load")
    async with watching(database, SETTINGS) as running:
        await running.until_connected()
        counted = "SELECT max(window_at) FROM airflow_jobmon.job_state"
        await eventually(lambda: conn.execute(counted).fetchone() != (None,))


async def test_it_keeps_watching_after_an_unforeseen_error(conn, database):
    conn.execute("INSERT INTO airflow_jobmon.jobs (name, source, config) VALUES ('odd', 'test', '5')")
    log_run(conn, "odd", status="failed")
    async with watching(database, SETTINGS) as running:
        await eventually(lambda: running.watcher.status.error)
        conn.execute("DELETE FROM airflow_jobmon.jobs")
        await running.until(1)
    assert alert_events_by_job(conn) == [("odd", "failed", "opened")]
