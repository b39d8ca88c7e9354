"""The doctor's checks of watchers, events, deliveries and channels."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.outbox import register_channels
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import CheckResults, run_database_checks
from tests.support.logged_runs import log_run

ON_SLACK = Settings(channels=("oncall",))


@pytest.fixture(autouse=True)
def oncall(monkeypatch):
    """A complete connection of a channel called oncall."""
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9/hook"}))


class Answering:
    """A channel that accepts every message, or fails with the same error."""

    def __init__(self, name: str, error: DeliveryError | None = None) -> None:
        self.name = name
        self._error = error

    def render(self, alerts, *, key):
        return b"{}"

    def send(self, body, *, key, timeout, only=None):
        if self._error:
            raise self._error
        from airflow_jobmon.channels import Accepted

        return Accepted()


def add_alert(conn: psycopg.Connection, channel: str, job_name: str = "load", minutes_ago: float = 0) -> None:
    """Add an alert to a channel."""
    alert = Alert(AlertEvent.OPENED, "failed", job_name, Health.CRITICAL, datetime.now(UTC), "it failed")
    with conn.transaction():
        IncidentRepository(conn).insert_alerts([AddressedAlert(alert, None, [channel])])
        conn.execute(
            "UPDATE airflow_jobmon.alerts SET created_at = created_at - make_interval(secs => %s) "
            "WHERE id = (SELECT max(id) FROM airflow_jobmon.alerts)",
            [minutes_ago * 60],
        )


def send_heartbeat(conn: psycopg.Connection, kind: str, *, listens: bool = True, seconds_ago: float = 0) -> None:
    """Record the heartbeat of a watcher."""
    watcher = {"id": uuid4(), "kind": kind, "host": socket.gethostname(), "pid": 4711, "delivers": kind == "listen"}
    conn.execute(load_queries("watchers")["heartbeat"], {**watcher, "listens": listens})
    conn.execute(
        "UPDATE airflow_jobmon.watchers SET seen_at = seen_at - make_interval(secs => %s) WHERE id = %s",
        [seconds_ago, watcher["id"]],
    )


def channel(results: CheckResults, name: str):
    [found] = [result for result in results["channel"] if result.about == name]
    return found


# Watchers


def test_no_watcher_is_wrong(database):
    watchers = run_database_checks(database).only("watchers")
    assert watchers.state is CheckState.WRONG
    assert watchers.seen.startswith("no watcher has sent a heartbeat")
    assert "airflow jobmon listen" in watchers.advice


def test_the_last_watcher_is_named(conn, database):
    send_heartbeat(conn, "trigger", seconds_ago=3700)
    watchers = run_database_checks(database).only("watchers")
    assert watchers.state is CheckState.WRONG
    assert f"the last was a triggerer on {socket.gethostname()} (pid 4711), 1.0 h ago" in watchers.seen


def test_live_watchers_are_ok(conn, database):
    send_heartbeat(conn, "trigger")
    send_heartbeat(conn, "listen")
    watchers = run_database_checks(database).only("watchers")
    assert watchers.state is CheckState.OK
    assert "a triggerer on" in watchers.seen
    assert "listen on" in watchers.seen


def test_a_watcher_that_cannot_listen_is_a_warning(conn, database):
    send_heartbeat(conn, "trigger", listens=False)
    watchers = run_database_checks(database).only("watchers")
    assert watchers.state is CheckState.WARNING
    assert "once a second" in watchers.seen


# Events and deliveries


@pytest.mark.parametrize(
    ("age", "state"),
    [pytest.param("5 s", CheckState.OK, id="just now"), pytest.param("61 s", CheckState.WRONG, id="a minute ago")],
)
def test_old_events_that_are_not_evaluated_are_wrong(conn, database, age, state):
    log_run(conn, "load", "failed")
    conn.execute("UPDATE airflow_jobmon.events SET at = clock_timestamp() - %s::interval", [age])
    events = run_database_checks(database).only("events")
    assert events.state is state
    assert events.seen.startswith("1 failed run ")
    assert state is CheckState.OK or "1 failed run recorded and not evaluated, the oldest 1 min 1 s ago" in events.seen


@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        pytest.param(0.5, CheckState.OK, id="half a minute"),
        pytest.param(2, CheckState.WARNING, id="two minutes"),
        pytest.param(6, CheckState.WRONG, id="six minutes"),
    ],
)
def test_deliveries_that_wait(conn, database, minutes, state):
    add_alert(conn, "oncall", minutes_ago=minutes)
    deliveries = run_database_checks(database, ON_SLACK).only("deliveries")
    assert deliveries.state is state
    assert state is CheckState.OK or "no process has tried to send" in deliveries.seen


# Channels


def test_no_channel_is_wrong(database):
    channels = run_database_checks(database).only("channels")
    assert channels.state is CheckState.WRONG
    assert "AIRFLOW__JOBMON__CHANNELS" in channels.advice


@pytest.mark.parametrize(
    ("unregistered", "own", "state"),
    [
        pytest.param("ignore", True, CheckState.OK, id="each job has its own"),
        pytest.param("learn", True, CheckState.WARNING, id="each registered job has its own"),
        pytest.param("learn", False, CheckState.WRONG, id="one registered job has none"),
    ],
)
def test_channels_that_only_jobs_name(conn, database, unregistered, own, state):
    jobs = [MonitoredJob(name="load", channels=("oncall",)), *([] if own else [MonitoredJob(name="ship")])]
    apply_jobs(conn, jobs, source="test")
    seen = run_database_checks(database, Settings(unregistered_jobs=unregistered))
    assert seen.only("channels").state is state
    assert channel(seen, "oncall").state is CheckState.OK


@pytest.mark.parametrize(
    ("connection", "seen", "advice"),
    [
        pytest.param(None, "Airflow has no connection 'broken'", "AIRFLOW_CONN_BROKEN", id="unknown"),
        pytest.param(
            {"conn_type": "ftp", "host": "a"}, "'ftp', which is not a channel", "slackwebhook", id="wrong type"
        ),
        pytest.param({"conn_type": "smtp", "host": "mail.example"}, "'to'", "", id="no to"),
        pytest.param({"conn_type": "slackwebhook"}, "", "", id="no token"),
        pytest.param(
            {"conn_type": "smtp", "host": "mail.example", "extra": "{"}, "not a JSON object", "", id="bad extra"
        ),
    ],
)
def test_a_channel_that_cannot_be_opened_does_not_hide_the_others(database, monkeypatch, connection, seen, advice):
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps({**connection, "password": connection.get("password")}))
    found = run_database_checks(database, Settings(channels=("broken", "oncall")))
    assert channel(found, "broken").state is CheckState.WRONG
    assert seen in channel(found, "broken").seen
    assert advice in channel(found, "broken").advice
    assert channel(found, "oncall").state is CheckState.OK


def test_a_working_channel_is_ok(conn, database):
    add_alert(conn, "oncall")
    deliver_due(database, {"oncall": Answering("oncall")})
    found = channel(run_database_checks(database, ON_SLACK), "oncall")
    assert found.state is CheckState.OK
    assert "last sent 0." in found.seen


def test_a_channel_with_dead_alerts_is_wrong(conn, database):
    add_alert(conn, "oncall")
    deliver_due(database, {"oncall": Answering("oncall", PermanentDeliveryError("404: no_service, token=abcdef123"))})
    found = channel(run_database_checks(database, ON_SLACK), "oncall")
    assert found.state is CheckState.WRONG
    assert "refuses messages for good: 404: no_service" in found.seen
    assert "1 alert of the last 7 days dead, nothing sent yet" in found.seen
    assert "abcdef123" not in found.seen
    assert "airflow jobmon alerts --retry" in found.advice


def test_dead_alerts_on_a_channel_that_works_again_are_a_warning(conn, database):
    for error in (PermanentDeliveryError("404: no_service"), None):
        add_alert(conn, "oncall")
        deliver_due(database, {"oncall": Answering("oncall", error)})
    found = channel(run_database_checks(database, ON_SLACK), "oncall")
    assert found.state is CheckState.WARNING
    assert "works again" in found.seen


@pytest.mark.parametrize(
    ("failures", "state"),
    [pytest.param(1, CheckState.WARNING, id="once"), pytest.param(3, CheckState.WRONG, id="three times")],
)
def test_a_channel_with_temporary_failures(conn, database, failures, state):
    add_alert(conn, "oncall")
    for _ in range(failures):
        conn.execute("UPDATE airflow_jobmon.channels SET paused_until = NULL")
        conn.execute("UPDATE airflow_jobmon.deliveries SET next_attempt_at = clock_timestamp()")
        conn.execute("UPDATE airflow_jobmon.messages SET next_attempt_at = clock_timestamp()")
        deliver_due(database, {"oncall": Answering("oncall", DeliveryError("timed out"))}, patience=0)
    found = channel(run_database_checks(database, ON_SLACK), "oncall")
    assert found.state is state
    assert "timed out" in found.seen
    assert "retried automatically" in found.advice


def test_a_notifier_of_a_task_needs_no_connection(conn, database):
    register_channels(conn, ["pager"], notifiers=["pager"])
    seen = run_database_checks(database)
    assert seen.only("channels").state is CheckState.OK
    assert channel(seen, "pager").seen == "given as a notifier by a task; nothing sent yet"


def test_a_channel_of_pending_alerts_is_checked_too(conn, database):
    add_alert(conn, "retired")
    assert "no connection 'retired'" in channel(run_database_checks(database, ON_SLACK), "retired").seen


def test_a_registry_entry_of_a_later_version_does_not_break_the_check(conn, database):
    conn.execute(
        "INSERT INTO airflow_jobmon.jobs (name, source, config) VALUES ('load', 'test', %s)",
        [Jsonb({"channels": "odd"})],
    )
    assert run_database_checks(database, ON_SLACK).only("channels").state is CheckState.OK
