"""A machine that loses its power in a transaction leaves a session behind, with its locks, for hours."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from airflow_jobmon.core.alerts import Alert, AlertEvent
from airflow_jobmon.core.health import Health
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.incidents import IncidentBook
from airflow_jobmon.postgres.outbox import Outbox, register_channels
from tests.runs import log_run


def limit_of(conn) -> str:
    """How long the server lets this session idle in its transaction."""
    return str(conn.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0])


def test_the_server_ends_a_lease_that_was_left_half_way(conn, database):
    register_channels(conn, ["slack"])
    alert = Alert(AlertEvent.OPENED, "failed", "load", Health.CRITICAL, datetime.now(UTC), "it failed")
    IncidentBook(conn).insert_alerts([(alert, None, ["slack"])])
    seen = []

    def render(*_):
        seen.append(limit_of(conn))
        return b""

    assert Outbox(conn, "slack", uuid4()).lease(render) is not None
    assert seen == ["20s"]
    assert limit_of(conn) == "0", "a setting must not outlive its transaction: behind a pooler others would get it"


@pytest.mark.parametrize("step", ["claim_events", "lock_states"])
def test_the_server_ends_a_judging_that_was_left_half_way(conn, database, step):
    log_run(conn, "load", status="failed")
    with connect(database) as judge:
        with judge.transaction():
            book = IncidentBook(judge)
            assert book.claim_events(10) if step == "claim_events" else book.lock_states(["load"])
            assert limit_of(judge) == "20s"
        assert limit_of(judge) == "0"
