"""Behind a pooler in transaction mode: everything works, nothing of ours stays on connections that others use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from airflow_jobmon.channels import Accepted
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema, migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from airflow_jobmon.waiting.run_poller import new_successes, wait_for_run
from tests.support.database_rows import add_alert
from tests.support.logged_runs import log_run
from tests.support.pgbouncer import pgbouncer
from tests.support.recording_channel import Recorder, states
from tests.support.running_watchers import watching
from tests.support.wait_until import TIMEOUT, eventually

SETTINGS = Settings(channels=("slack",))
THEIRS = {
    "application_name",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "standard_conforming_strings",
    "IntervalStyle",
}
"""What pgbouncer itself sets for each client, so that nothing of it leaks."""


@pytest.fixture(scope="module")
def pooler(postgres):
    with pgbouncer(postgres, pool_size=4) as running:
        yield running


def through(pooler, conninfo: str) -> str:
    """The same database, by way of the pooler."""
    return pooler.conninfo(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"])


@pytest.fixture
def pooled(pooler, database):
    return through(pooler, database)


@contextmanager
def every_server(conninfo: str, most: int = 4) -> Iterator[list[psycopg.Connection]]:
    """Clients in transactions, so that each holds another of the pooler's connections."""
    with ExitStack() as held:
        clients = []
        for _ in range(most):
            client = held.enter_context(psycopg.connect(conninfo, prepare_threshold=None))
            client.execute("SELECT 1")
            clients.append(client)
        assert len({client.execute("SELECT pg_backend_pid()").fetchone()[0] for client in clients}) == most
        yield clients
        for client in clients:
            client.rollback()


def left_behind(conninfo: str) -> list[object]:
    """Session settings, prepared statements and LISTENs of ours that other users of the pooler would get."""
    found: list[object] = []
    with every_server(conninfo) as clients:
        for client in clients:
            found += client.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'").fetchall()
            found += client.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
            found += client.execute("SELECT channel, 'LISTEN' FROM pg_listening_channels() AS channel").fetchall()
    return [thing for thing in found if thing[0] not in THEIRS]


def test_migrate_evaluate_and_deliver_leave_nothing_behind(pooler, empty_database, postgres):
    conninfo = through(pooler, empty_database)
    with connect(conninfo) as conn:
        first = migrate(conn, SETTINGS, create_jobs_log=True)
        assert first.applied
        assert first.notes == ()
        assert not migrate(conn, SETTINGS).changed
        check_schema(conn)
        apply_jobs(conn, [MonitoredJob(name="load", schedule="0 2 * * *")], source="test")
        log_run(conn, "load", status="failed")
        assert evaluate_events(conn, SETTINGS).alerts == 1
        evaluate_changed(conn, SETTINGS)
        assert [health.status for health in evaluate_jobs(conn, SETTINGS)] == ["critical"]
        assert len(assess_jobs(conn, SETTINGS)) == 1
    slack = Recorder("slack")
    deliver_due(conninfo, {"slack": slack})
    assert slack.lines == ["opened:load"]
    assert left_behind(conninfo) == []


def test_migrate_leaves_no_setting_where_another_client_got_its_connection_meanwhile(pooler, empty_database):
    conninfo = through(pooler, empty_database)
    with connect(empty_database) as direct:
        direct.execute(
            "CREATE TABLE public.jobs_log (id bigint, job_name text, started_at timestamptz, completed_at timestamptz,"
            " records_updated int, status text, error_message text)"
        )
    others: list[psycopg.Connection] = []

    def take_a_connection(step: str) -> None:
        if step.startswith("running CREATE INDEX"):
            other = psycopg.connect(conninfo, prepare_threshold=None)
            other.execute("SELECT 1")
            others.append(other)

    try:
        with connect(conninfo) as conn:
            report = migrate(conn, SETTINGS, progress=take_a_connection)
    finally:
        for other in others:
            other.rollback()  # else the pooler throws its connection away, with what is on it
            other.close()
    assert others
    assert any("INDEX" in action for action in report.actions)
    assert left_behind(conninfo) == []


def test_other_clients_keep_their_own_time_zone(pooler, database, postgres):
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    conninfo = through(pooler, database)
    with connect(conninfo) as ours:
        assert ours.execute("SHOW timezone").fetchone() == ("UTC",)
    with every_server(conninfo) as clients:
        assert {client.execute("SHOW timezone").fetchone() for client in clients} == {("Asia/Tokyo",)}


async def test_a_watcher_says_that_it_polls_and_is_still_woken_without_waiting_for_a_sweep(conn, pooled):
    async with watching(pooled) as running:
        await running.until_connected()
        assert not running.watcher.status.listens
        assert conn.execute("SELECT listens FROM airflow_jobmon.watchers").fetchall() == [(False,)]
        log_run(conn, "load", status="failed")
        await running.until(1)
    assert left_behind(pooled) == []


async def test_one_watcher_behind_the_pooler_and_one_not_evaluate_each_failure_once(conn, database, pooled):
    async with watching(pooled) as polling, watching(database, kind="listen", delivers=True) as listening:
        await polling.until_connected()
        await listening.until_connected()
        assert (polling.watcher.status.listens, listening.watcher.status.listens) == (False, True)
        for number in range(60):
            log_run(conn, f"job {number}", status="failed")
        count = "SELECT count(*), count(DISTINCT job_name) FROM airflow_jobmon.alerts"
        await eventually(lambda: conn.execute(count).fetchone() == (60, 60))
        await eventually(lambda: conn.execute("SELECT count(*) FROM airflow_jobmon.events").fetchone() == (0,))


def test_many_watchers_and_senders_share_four_connections(conn, pooled):
    slack = Recorder("slack")
    for number in range(200):
        log_run(conn, f"job {number}", status="failed")

    def work(_: int) -> None:
        with connect(pooled) as mine:
            while evaluate_events(mine, SETTINGS).events:
                pass
        deliver_due(pooled, {"slack": slack}, patience=2)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert sorted(slack.lines) == sorted(f"opened:job {number}" for number in range(200))
    assert {state for state, _ in states(conn, "slack")} == {"sent"}
    assert left_behind(pooled) == []


def test_a_channel_that_hangs_holds_no_connection_that_another_could_need(conn, postgres, database):
    over = threading.Event()

    def late(_: int) -> Accepted:
        over.wait(60)
        return Accepted()

    hanging, good = Recorder("hanging", late), Recorder("good")
    with pgbouncer(postgres, pool_size=1) as narrow:
        conninfo = through(narrow, database)
        add_alert(conn, "load", "hanging", "good")
        deliverer = threading.Thread(target=deliver_due, args=(conninfo, {"hanging": hanging, "good": good}))
        deliverer.start()
        try:
            with connect(conninfo) as other:
                for _ in range(1500):
                    if good.lines:
                        break
                    other.execute("SELECT pg_sleep(0.02)")
        finally:
            over.set()
            deliverer.join()
    assert good.lines == ["opened:load"]


async def test_sensors_and_success_assets_wait_through_it(conn, pooled):
    async def resolve(_: str) -> str:
        return pooled

    since = datetime.now(UTC) - timedelta(minutes=1)
    waits = [
        asyncio.create_task(wait_for_run(Wait(f"job {number}", since), conn_id="jobmon_default", resolve=resolve))
        for number in range(100)
    ]
    successes = new_successes("job 7", conn_id="jobmon_default", resolve=resolve)
    announced = asyncio.create_task(anext(successes))
    mark = "SELECT count(*) FROM airflow_jobmon.asset_marks WHERE job_name = 'job 7'"
    await eventually(lambda: conn.execute(mark).fetchone() == (1,))
    for number in range(100):
        log_run(conn, f"job {number}", records_updated=number, started_at=datetime.now(UTC))
    async with asyncio.timeout(TIMEOUT):
        runs = await asyncio.gather(*waits)
        successes_so_far = await announced
    await successes.aclose()
    assert [run.records_updated for run in runs] == list(range(100))
    assert successes_so_far.newest.job_name == "job 7"
    assert left_behind(pooled) == []
