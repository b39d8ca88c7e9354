"""A machine loses power in a transaction; without a limit, its session would keep its locks for hours."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.outbox import Outbox, register_channels
from airflow_jobmon.postgres.pipeline import transaction
from tests.support.logged_runs import log_run


@pytest.fixture
def session(database):
    """The session whose machine vanishes."""
    with connect(database) as found:
        yield found


def seen_by_the_server(conn, session) -> str:
    """The state of the session as the server sees it; the limit ends only idle sessions."""
    query = "SELECT state FROM pg_stat_activity WHERE pid = %s"
    return str(conn.execute(query, [session.info.backend_pid]).fetchone()[0])


def limit_of(session) -> str:
    """The time limit of the session when idle in a transaction."""
    return str(session.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0])


def test_the_server_ends_a_lease_that_was_left_unfinished(conn, session):
    register_channels(conn, ["slack"])
    alert = Alert(AlertEvent.OPENED, "failed", "load", Health.CRITICAL, datetime.now(UTC), "it failed")
    IncidentRepository(conn).insert_alerts([AddressedAlert(alert, None, ["slack"])])
    seen = []

    def render(*_):
        seen.append((seen_by_the_server(conn, session), limit_of(session)))
        return b""

    assert Outbox(session, "slack", uuid4()).lease(render) is not None
    assert seen == [("idle in transaction", "20s")]
    assert limit_of(session) == "0", "a setting must not outlive its transaction: behind a pooler others would get it"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda repository: repository.claim_events(10), id="claiming events"),
        pytest.param(lambda repository: repository.lock_states(["load"])(), id="locking jobs"),
        pytest.param(
            lambda repository: (repository.claim_events(10), repository.lock_states(["load"])()),
            id="claiming, then locking",
        ),
    ],
)
def test_the_server_ends_an_evaluation_that_was_left_unfinished(conn, session, step):
    log_run(conn, "load", status="failed")
    with transaction(session) as sync:
        assert step(IncidentRepository(session, sync))
        assert seen_by_the_server(conn, session) == "idle in transaction"
        assert limit_of(session) == "20s"
    assert limit_of(session) == "0"
