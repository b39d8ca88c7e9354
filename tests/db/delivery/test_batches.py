"""An outage of two hundred jobs causes one or two messages on each channel, and so does its end."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events
from airflow_jobmon.postgres.outbox import BURST_QUIET, Outbox, register_channels
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.silences import silence, unsilence
from airflow_jobmon.settings import Settings
from tests.support.database_rows import add_alert as add_one_alert
from tests.support.delivery_faults import ACCEPTED, HTTP_KINDS, end_pauses, http_connection, mail_connection, opened
from tests.support.http_server import http_server, reply
from tests.support.smtp_server import smtp_server

JOBS = [f"billing-{n:03}-nightly-settlement-of-region" for n in range(200)]
HOUR = timedelta(hours=1)
SETTINGS = Settings(channels=(*HTTP_KINDS, "mail"), base_url="https://airflow.example.com")
LOG = (
    "INSERT INTO jobs_log (job_name, status, started_at, completed_at, error_message)"
    " SELECT name, %s, %s::timestamptz, %s::timestamptz, %s FROM unnest(%s::text[]) AS name"
)
ERROR = "could not connect to server: Connection refused. Is the server running on host 10.0.3.17 and accepting TCP/IP?"


class Sinks:
    """A real channel of each kind, each with a server of its own."""

    def __init__(self, monkeypatch, running) -> None:
        self.http = {kind: running.enter_context(http_server(reply(200, ACCEPTED))) for kind in HTTP_KINDS}
        self.mail = running.enter_context(smtp_server())
        servers = {kind: http_connection(kind, server.url) for kind, server in self.http.items()}
        self.channels = opened(monkeypatch, **servers, mail=mail_connection(self.mail.port))
        self._seen = dict.fromkeys(self.channels, 0)

    def messages(self, channel: str) -> list:
        """The messages that arrived since the last call."""
        if channel == "mail":
            arrived = [mail.message for mail in self.mail.mails]
        else:
            arrived = [request.json for request in self.http[channel].requests]
        new = arrived[self._seen[channel] :]
        self._seen[channel] = len(arrived)
        return new


@pytest.fixture
def sinks(monkeypatch):
    with ExitStack() as running:
        yield Sinks(monkeypatch, running)


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def log_all(conn, status: str, *, minutes_ago: float, error: str | None = None) -> None:
    started = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    conn.execute(LOG, [status, started, started + timedelta(seconds=20), error, JOBS])
    while evaluate_events(conn, SETTINGS).events:
        pass


def deliver(conn, database, sinks) -> None:
    """Deliver what is due, and what is due after the pause that follows a burst."""
    deliver_due(database, sinks.channels, patience=0)
    for channel in sinks.channels:
        end_pauses(conn, channel)
    deliver_due(database, sinks.channels, patience=0)
    left = conn.execute("SELECT DISTINCT state FROM airflow_jobmon.deliveries WHERE state <> 'silenced'").fetchall()
    assert left == [("sent",)]


def arrived(sinks, heading: str) -> None:
    """Assert that each channel got one or two messages, which name at least 150 jobs and count the others."""
    for channel in sinks.channels:
        messages = sinks.messages(channel)
        assert 1 <= len(messages) <= 2, channel
        whole = "\n".join(read(channel, message) for message in messages)
        named = sum(job in whole for job in JOBS)
        assert heading in whole, channel
        assert named >= (200 if channel == "http" else 150), channel
        assert named == 200 or f"and {200 - named} more" in whole, channel


def read(channel: str, message) -> str:
    """The visible text of a message, checked against the limits of the program that shows it."""
    if channel == "mail":
        html = message.get_body(("html",)).get_content()
        assert len(html.encode()) < 102_000, "Gmail cuts it"
        return f"{message['Subject']}\n{message.get_body(('plain',)).get_content()}\n{html}"
    if channel == "http":
        assert len(message["alerts"]) == 200
    if channel in {"slack", "slackwebhook"}:
        blocks = json.loads(message["blocks"]) if isinstance(message["blocks"], str) else message["blocks"]
        assert len(blocks) <= 50
        assert all(len(block["text"]["text"]) <= 3000 for block in blocks)
        assert sum(len(block["text"]["text"]) for block in blocks) < 12_000, "msg_blocks_too_long"
    return json.dumps(message, ensure_ascii=False)


def test_200_jobs_that_fail_at_once_and_recover(conn, database, sinks):
    log_all(conn, "success", minutes_ago=60)
    evaluate_changed(conn, SETTINGS)
    log_all(conn, "failed", minutes_ago=30, error=ERROR)
    deliver(conn, database, sinks)
    arrived(sinks, "200 jobs failed")
    log_all(conn, "success", minutes_ago=5)
    evaluate_changed(conn, SETTINGS)
    deliver(conn, database, sinks)
    arrived(sinks, "200 jobs resolved")


def test_200_jobs_that_are_missed_at_once_and_run_again(conn, database, sinks):
    apply_jobs(conn, [MonitoredJob(name=name, every="1d") for name in JOBS], source="test")
    log_all(conn, "success", minutes_ago=26 * 60)
    evaluate_changed(conn, SETTINGS)
    deliver(conn, database, sinks)
    arrived(sinks, "200 jobs missed")
    log_all(conn, "success", minutes_ago=5)
    evaluate_changed(conn, SETTINGS)
    deliver(conn, database, sinks)
    arrived(sinks, "200 jobs resolved")


def test_the_end_of_a_silence_over_200_open_incidents(conn, database, sinks):
    silence(conn, "billing-*", timedelta(hours=1), reason="upgrade", by="anna")
    log_all(conn, "failed", minutes_ago=30, error=ERROR)
    deliver_due(database, sinks.channels, patience=0)
    assert all(sinks.messages(channel) == [] for channel in sinks.channels)
    assert unsilence(conn, "billing-*", by="anna").open_incidents == 200
    assert evaluate_changed(conn, SETTINGS).alerts == 200
    deliver(conn, database, sinks)
    arrived(sinks, "200 jobs failed")


@pytest.mark.parametrize(
    ("oldest", "newest", "waits"),
    [
        pytest.param(-HOUR, -HOUR, True, id="it still grows"),
        pytest.param(HOUR, HOUR, False, id="no alert came lately"),
        pytest.param(HOUR, -HOUR, False, id="it has grown for long enough"),
    ],
)
def test_a_service_waits_for_a_burst_that_still_grows(conn, oldest, newest, waits):
    register_channels(conn, ["slack"])
    for age in (oldest, *[newest] * 5):
        add_one_alert(conn, "load", "slack")
        # Dated ahead of the clock, it counts as new however slowly this test runs.
        conn.execute(
            "UPDATE airflow_jobmon.alerts SET created_at = clock_timestamp() - %s"
            " WHERE id = (SELECT max(id) FROM airflow_jobmon.alerts)",
            [age],
        )
    outbox = Outbox(conn, "slack", uuid4())
    leased = outbox.lease(lambda *_: b"[]", gather=True)
    assert (leased is None) == waits
    if waits:
        assert outbox.seconds_until_due() <= BURST_QUIET.total_seconds()
    else:
        assert leased.alerts == 6


def test_a_one_off_delivery_does_not_wait_for_a_burst_to_grow(conn):
    register_channels(conn, ["slack"])
    for n in range(6):
        add_one_alert(conn, f"job {n}", "slack")
    assert Outbox(conn, "slack", uuid4()).lease(lambda *_: b"[]").alerts == 6
