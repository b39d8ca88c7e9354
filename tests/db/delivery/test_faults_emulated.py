"""Slack and Resend, emulated by a third party: they accept and show what the outbox sends; Resend drops duplicates."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.postgres.outbox import Outbox, register_channels
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import delivery_states, end_pauses, message_states, opened
from tests.support.emulate import emulated


@pytest.fixture(scope="module")
def peers():
    with emulated() as running:
        yield running


@pytest.fixture
def channels(monkeypatch, peers):
    host, _, token = peers.webhook.partition("/services/")
    return opened(
        monkeypatch,
        hook={"conn_type": "slackwebhook", "host": f"{host}/services", "password": token},
        bot={
            "conn_type": "slack",
            "password": "xoxb-test",
            "extra": {"channel": "general", "base_url": f"{peers.slack}/api/"},
        },
        resend={
            "conn_type": "resend",
            "host": peers.resend,
            "password": "re_test",
            "extra": {"to": ["oncall@example.com"], "from_email": "jobmon@example.com"},
        },
    )


def emails_about(peers, job_name):
    return [email for email in peers.emails() if job_name in str(email["subject"])]


def posts_about(peers, job_name):
    return [post for post in peers.slack_messages(peers.channel_id("general")) if job_name in str(post["text"])]


def test_slack_and_resend_accept_an_alert(conn, database, channels, peers):
    name = f"load-{uuid4()}"
    add_alert(conn, name, "hook", "bot", "resend")
    assert deliver_due(database, channels).errors == {}
    (email,) = emails_about(peers, name)
    assert email["subject"] == f"ALERT: Job Failed - {name}"
    assert len(posts_about(peers, name)) == 2  # by webhook and by bot, both into #general


def test_a_burst_is_one_message_per_channel(conn, database, channels, peers):
    prefix = f"burst-{uuid4().hex[:8]}"
    with conn.transaction():
        for number in range(300):
            add_alert(conn, f"{prefix}-{number}", "hook", "bot", "resend")
    report = deliver_due(database, channels, patience=0)
    assert report.errors == {}
    assert report.alerts == {"hook": 300, "bot": 300, "resend": 300}
    assert report.sent == {"hook": 1, "bot": 1, "resend": 1}
    posts = [post for post in peers.slack_messages(peers.channel_id("general")) if prefix in json.dumps(post)]
    assert len(posts) == 2
    assert all(json.dumps(post).count(prefix) >= 150 for post in posts)


def test_a_message_sent_just_before_its_process_was_killed_reaches_readers_of_resend_once(
    conn, database, channels, peers
):
    name = f"load-{uuid4()}"
    add_alert(conn, name, "resend")
    channel = channels["resend"]
    register_channels(conn, ["resend"])
    taken = Outbox(conn, "resend", uuid4()).lease(lambda alerts, key: channel.render(alerts, key=key))
    channel.send(taken.body, key=taken.id, timeout=10)  # and killed before it could mark it as sent
    end_pauses(conn, "resend")
    deliver_due(database, {"resend": channel})
    assert message_states(conn, "resend") == [("sent", 2)]
    assert len(emails_about(peers, name)) == 1


def test_an_unknown_slack_channel_is_dead_and_reported_by_email(conn, database, channels, peers, monkeypatch):
    unknown = opened(
        monkeypatch,
        lost={
            "conn_type": "slack",
            "password": "xoxb-test",
            "extra": {"channel": "no-such-channel", "base_url": f"{peers.slack}/api/"},
        },
    )
    name = f"load-{uuid4()}"
    add_alert(conn, name, "lost")
    both = unknown | {"resend": channels["resend"]}
    deliver_due(database, both, patience=1)
    deliver_due(database, both, patience=0)
    ((_, state, error),) = delivery_states(conn, "lost")
    assert (state, "channel_not_found" in error) == ("dead", True)
    assert [delivery.state for delivery in delivery_states(conn, "resend", "undelivered")] == ["sent"]
    (email,) = emails_about(peers, name)
    assert "Alert Not Delivered" in str(email["subject"])


def test_resolved_follows_its_opened(conn, database, channels, peers):
    name = f"load-{uuid4()}"
    add_alert(conn, name, "bot")
    add_alert(conn, name, "bot", event=AlertEvent.RESOLVED)
    deliver_due(database, channels)
    newest_first = [str(post["text"]).splitlines()[0] for post in posts_about(peers, name)]
    assert ["Resolved" in title for title in newest_first] == [True, False]
