"""`airflow jobmon listen` behind a pooler in transaction mode logs that it polls every second, and alerts arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.processes.conftest import Sinks, StartListener
from tests.support.logged_runs import log_run
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres_server import Postgres
from tests.support.wait_until import wait_until


@pytest.fixture
def pooled(postgres: Postgres, database: str) -> Iterator[str]:
    with pgbouncer(postgres, pool_size=5) as pooler:
        yield pooler.conninfo(str(psycopg.conninfo.conninfo_to_dict(database)["dbname"]))


def test_alerts_arrive_without_waiting_for_a_sweep(
    conn, sinks: Sinks, start_listener: StartListener, pooled, record_property
):
    listener = start_listener(pooled, AIRFLOW__JOBMON__SWEEP_INTERVAL="1h")
    listener.until_it_says("watching by polling every 1 s: NOTIFY does not arrive")
    for number in (1, 2, 3):
        log_run(conn, f"load-{number}", status="failed")
        logged = time.monotonic()
        for sink in sinks.all.values():
            sink.until_received({f"load-{number}"})
        record_property(f"seconds to alert {number}", time.monotonic() - logged)
    listener.terminate()
    listener.until_it_ended()
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (0,)


def test_a_listener_behind_the_pooler_and_a_direct_one_send_each_failure_once(
    conn, sinks: Sinks, start_listener: StartListener, pooled
):
    polling, listening = start_listener(pooled), start_listener()
    polling.until_it_says("watching by polling")
    listening.until_it_says("watching by LISTEN")
    wanted = {f"load-{number}" for number in range(1, 41)}
    for name in wanted:
        log_run(conn, name, status="failed")
    for sink in sinks.all.values():
        sink.until_received(wanted)
    query = "SELECT count(*) FROM airflow_jobmon.deliveries WHERE state <> 'sent'"
    wait_until(lambda: conn.execute(query).fetchone() == (0,), "every delivery to be marked as sent")
    assert [sink.repeats() for sink in sinks.all.values()] == [0, 0, 0]
