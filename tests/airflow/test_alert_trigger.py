"""JobAlertTrigger as a triggerer runs it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from airflow_jobmon.triggers import JobAlertTrigger
from tests.support.logged_runs import log_run
from tests.support.wait_until import eventually


def watches(conn) -> bool:
    return conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (1,)


@pytest.fixture
def channel(monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack")


async def test_it_fires_when_an_alert_is_due(running, conn, jobmon_default, channel):
    async with running(JobAlertTrigger()) as payloads:
        await eventually(lambda: watches(conn))
        log_run(conn, "load", status="failed")
        await eventually(lambda: payloads)
    assert payloads[0] == "alerts are due"


async def test_it_waits_for_a_connection_that_does_not_exist_yet(
    running, conn, database, airflow_connection, channel, caplog
):
    log_run(conn, "load", status="failed")
    async with running(JobAlertTrigger(conn_id="elsewhere")) as payloads:
        await eventually(lambda: "watching is interrupted" in caplog.text)
        assert "elsewhere" in caplog.text
        airflow_connection("elsewhere", database)
        await eventually(lambda: payloads)


async def test_it_uses_a_replaced_login_without_a_restart(running, conn, database, airflow_connection, channel, caplog):
    conn.execute("CREATE ROLE jobmon_first SUPERUSER LOGIN")
    airflow_connection("jobmon_default", psycopg.conninfo.make_conninfo(database, user="jobmon_first"))
    try:
        async with running(JobAlertTrigger()) as payloads:
            await eventually(lambda: watches(conn))
            conn.execute("ALTER ROLE jobmon_first RENAME TO jobmon_second")
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'jobmon_second'")
            await eventually(lambda: 'role "jobmon_first" does not exist' in caplog.text)
            airflow_connection("jobmon_default", psycopg.conninfo.make_conninfo(database, user="jobmon_second"))
            log_run(conn, "load", status="failed")
            await eventually(lambda: payloads)
    finally:
        for name in ("jobmon_first", "jobmon_second"):
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


async def test_it_reads_the_settings_again_for_each_connection(running, conn, jobmon_default, channel, monkeypatch):
    log_run(conn, "load", status="failed", error_message="one")
    where = "SELECT DISTINCT channel FROM airflow_jobmon.deliveries ORDER BY channel"
    async with running(JobAlertTrigger()):
        await eventually(lambda: conn.execute(where).fetchall() == [("slack",)])
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager")
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await eventually(
            lambda: conn.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'").fetchone() == (1,)
        )
        log_run(conn, "mend", status="failed")
        await eventually(lambda: conn.execute(where).fetchall() == [("pager",), ("slack",)])
