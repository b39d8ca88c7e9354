"""The doctor on what is under way: watchers, events, deliveries, channels."""

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
from airflow_jobmon.doctor.result import State
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.outbox import register_channels
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import Seen, examined
from tests.support.logged_runs import log_run

ON_SLACK = Settings(channels=("oncall",))


@pytest.fixture(autouse=True)
def oncall(monkeypatch):
    """A complete connection of a channel called oncall."""
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9/hook"}))


class Answering:
    """A channel that answers every sending the same."""

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


def tell(conn: psycopg.Connection, channel: str, job_name: str = "load", minutes_ago: float = 0) -> None:
    """Address an alert to a channel."""
    alert = Alert(AlertEvent.OPENED, "failed", job_name, Health.CRITICAL, datetime.now(UTC), "it failed")
    with conn.transaction():
        IncidentRepository(conn).insert_alerts([(alert, None, [channel])])
        conn.execute(
            "UPDATE airflow_jobmon.alerts SET created_at = created_at - make_interval(secs => %s) "
            "WHERE id = (SELECT max(id) FROM airflow_jobmon.alerts)",
            [minutes_ago * 60],
        )


def beat(conn: psycopg.Connection, kind: str, *, listens: bool = True, seconds_ago: float = 0) -> None:
    """The sign of life of a watcher."""
    watcher = {"id": uuid4(), "kind": kind, "host": socket.gethostname(), "pid": 4711, "delivers": kind == "listen"}
    conn.execute(load_queries("watchers")["heartbeat"], {**watcher, "listens": listens})
    conn.execute(
        "UPDATE airflow_jobmon.watchers SET seen_at = seen_at - make_interval(secs => %s) WHERE id = %s",
        [seconds_ago, watcher["id"]],
    )


def channel(seen: Seen, name: str):
    [found] = [diagnosis for diagnosis in seen["channel"] if diagnosis.about == name]
    return found


# Watchers


def test_nobody_watches(database):
    watchers = examined(database).only("watchers")
    assert watchers.state is State.WRONG
    assert watchers.seen.startswith("nobody watches")
    assert "airflow jobmon listen" in watchers.advice


def test_a_watcher_that_stopped_is_named(conn, database):
    beat(conn, "trigger", seconds_ago=3700)
    watchers = examined(database).only("watchers")
    assert watchers.state is State.WRONG
    assert f"the last was a triggerer on {socket.gethostname()} (pid 4711), 1.0 h ago" in watchers.seen


def test_watchers_that_live(conn, database):
    beat(conn, "trigger")
    beat(conn, "listen")
    watchers = examined(database).only("watchers")
    assert watchers.state is State.OK
    assert "a triggerer on" in watchers.seen
    assert "listen on" in watchers.seen


def test_a_watcher_that_cannot_listen_is_a_warning(conn, database):
    beat(conn, "trigger", listens=False)
    watchers = examined(database).only("watchers")
    assert watchers.state is State.WARNING
    assert "once a second" in watchers.seen


# Events and deliveries


@pytest.mark.parametrize(
    ("age", "state"),
    [pytest.param("5 s", State.OK, id="just now"), pytest.param("61 s", State.WRONG, id="a minute ago")],
)
def test_events_that_nobody_judges(conn, database, age, state):
    log_run(conn, "load", "failed")
    conn.execute("UPDATE airflow_jobmon.events SET at = clock_timestamp() - %s::interval", [age])
    events = examined(database).only("events")
    assert events.state is state
    assert events.seen.startswith("1 failed run ")
    assert state is State.OK or "1 failed run noted and judged by nobody, the oldest 1 min 1 s ago" in events.seen


@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        pytest.param(0.5, State.OK, id="half a minute"),
        pytest.param(2, State.WARNING, id="two minutes"),
        pytest.param(6, State.WRONG, id="six minutes"),
    ],
)
def test_alerts_that_wait(conn, database, minutes, state):
    tell(conn, "oncall", minutes_ago=minutes)
    deliveries = examined(database, ON_SLACK).only("deliveries")
    assert deliveries.state is state
    assert state is State.OK or "nobody has tried to send" in deliveries.seen


# Channels


def test_no_channel_at_all(database):
    channels = examined(database).only("channels")
    assert channels.state is State.WRONG
    assert "AIRFLOW__JOBMON__CHANNELS" in channels.advice


@pytest.mark.parametrize(
    ("unregistered", "own", "state"),
    [
        pytest.param("ignore", True, State.OK, id="each job has its own"),
        pytest.param("learn", True, State.WARNING, id="each registered job has its own"),
        pytest.param("learn", False, State.WRONG, id="one registered job has none"),
    ],
)
def test_channels_that_only_jobs_name(conn, database, unregistered, own, state):
    jobs = [MonitoredJob(name="load", channels=("oncall",)), *([] if own else [MonitoredJob(name="ship")])]
    apply_jobs(conn, jobs, source="test")
    seen = examined(database, Settings(unregistered_jobs=unregistered))
    assert seen.only("channels").state is state
    assert channel(seen, "oncall").state is State.OK


@pytest.mark.parametrize(
    ("connection", "seen", "advice"),
    [
        pytest.param(None, "Airflow has no connection 'broken'", "AIRFLOW_CONN_BROKEN", id="unknown"),
        pytest.param({"conn_type": "ftp", "host": "a"}, "'ftp', which is no channel", "slackwebhook", id="wrong type"),
        pytest.param({"conn_type": "smtp", "host": "mail.example"}, "'to'", "", id="no to"),
        pytest.param({"conn_type": "slackwebhook"}, "", "", id="no token"),
        pytest.param(
            {"conn_type": "smtp", "host": "mail.example", "extra": "{"}, "not a JSON object", "", id="bad extra"
        ),
    ],
)
def test_a_channel_that_cannot_be_opened_hides_no_other(database, monkeypatch, connection, seen, advice):
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps({**connection, "password": connection.get("password")}))
    found = examined(database, Settings(channels=("broken", "oncall")))
    assert channel(found, "broken").state is State.WRONG
    assert seen in channel(found, "broken").seen
    assert advice in channel(found, "broken").advice
    assert channel(found, "oncall").state is State.OK


def test_a_channel_that_works(conn, database):
    tell(conn, "oncall")
    deliver_due(database, {"oncall": Answering("oncall")})
    found = channel(examined(database, ON_SLACK), "oncall")
    assert found.state is State.OK
    assert "last sent 0." in found.seen


def test_a_channel_whose_alerts_are_dead(conn, database):
    tell(conn, "oncall")
    deliver_due(database, {"oncall": Answering("oncall", PermanentDeliveryError("404: no_service, token=abcdef123"))})
    found = channel(examined(database, ON_SLACK), "oncall")
    assert found.state is State.WRONG
    assert "refuses messages for good: 404: no_service" in found.seen
    assert "1 alert of the last 7 days dead, nothing was sent yet" in found.seen
    assert "abcdef123" not in found.seen
    assert "airflow jobmon alerts --retry" in found.advice


def test_dead_alerts_on_a_channel_that_works_again_are_a_warning(conn, database):
    for error in (PermanentDeliveryError("404: no_service"), None):
        tell(conn, "oncall")
        deliver_due(database, {"oncall": Answering("oncall", error)})
    found = channel(examined(database, ON_SLACK), "oncall")
    assert found.state is State.WARNING
    assert "works again" in found.seen


@pytest.mark.parametrize(
    ("failures", "state"), [pytest.param(1, State.WARNING, id="once"), pytest.param(3, State.WRONG, id="three times")]
)
def test_a_channel_that_fails_for_now(conn, database, failures, state):
    tell(conn, "oncall")
    for _ in range(failures):
        conn.execute("UPDATE airflow_jobmon.channels SET paused_until = NULL")
        conn.execute("UPDATE airflow_jobmon.deliveries SET next_attempt_at = clock_timestamp()")
        conn.execute("UPDATE airflow_jobmon.messages SET next_attempt_at = clock_timestamp()")
        deliver_due(database, {"oncall": Answering("oncall", DeliveryError("timed out"))}, patience=0)
    found = channel(examined(database, ON_SLACK), "oncall")
    assert found.state is state
    assert "timed out" in found.seen
    assert "tried again by itself" in found.advice


def test_a_channel_that_a_task_gave_as_a_notifier_needs_no_connection(conn, database):
    register_channels(conn, ["pager"], notifiers=["pager"])
    seen = examined(database)
    assert seen.only("channels").state is State.OK
    assert channel(seen, "pager").seen == "given as a notifier by a task; nothing was sent yet"


def test_a_channel_that_only_waiting_alerts_name_is_looked_at_too(conn, database):
    tell(conn, "retired")
    assert "no connection 'retired'" in channel(examined(database, ON_SLACK), "retired").seen


def test_a_registry_entry_of_a_later_version_stops_nothing(conn, database):
    conn.execute(
        "INSERT INTO airflow_jobmon.jobs (name, source, config) VALUES ('load', 'test', %s)",
        [Jsonb({"channels": "odd"})],
    )
    assert examined(database, ON_SLACK).only("channels").state is State.OK
