"""Every HTTP channel with servers that refuse, hang and disconnect: the state of the outbox, and what arrived."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from airflow_jobmon.delivery.channel_sender import SEND_TIMEOUT
from airflow_jobmon.delivery.sender import deliver_due
from demo.ports import free_port
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import (
    ACCEPTED,
    HTTP_KINDS,
    delivery_states,
    end_pauses,
    http_connection,
    mail_connection,
    message_states,
    opened,
    paused,
)
from tests.support.http_server import cut_short, drop, garbage, hang, http_server, reply
from tests.support.smtp_server import smtp_server


@pytest.fixture(params=HTTP_KINDS)
def kind(request):
    return request.param


@pytest.fixture
def servers():
    """The server of the channel under test, and a healthy server of another channel."""
    with http_server(reply(200, ACCEPTED)) as bad, http_server(reply(200, ACCEPTED)) as good:
        yield bad, good


@pytest.fixture
def channels(monkeypatch, kind, servers):
    bad, good = servers
    return opened(monkeypatch, bad=http_connection(kind, bad.url), good=http_connection("http", good.url))


def keys(server):
    return [request.headers.get("Idempotency-Key") for request in server.requests]


def bodies(server):
    return [request.body for request in server.requests]


@pytest.mark.parametrize(
    ("answer", "at_least", "at_most"),
    [
        pytest.param(reply(429, "slow down", Retry_After="120"), 120, 120, id="429 with Retry-After"),
        pytest.param(reply(429, "slow down"), 1, 1.25, id="429 without Retry-After"),
        pytest.param(reply(429, "slow down", Retry_After="soon"), 1, 1.25, id="429 with an invalid Retry-After"),
        pytest.param(reply(503, "busy", Retry_After="60"), 60, 60, id="503 with Retry-After"),
    ],
)
def test_a_rejected_message_waits_as_the_server_asks_and_is_regrouped(
    conn, database, servers, channels, answer, at_least, at_most
):
    bad, good = servers
    bad.script = [answer]
    add_alert(conn, "load", "bad", "good")
    began = time.monotonic()
    report = deliver_due(database, channels, patience=0)
    assert report.failed == {"bad": 1}
    assert paused(conn, "bad", at_least, at_most, since=began)
    assert [(state, bool(error)) for _, state, error in delivery_states(conn, "bad")] == [("pending", True)]
    assert delivery_states(conn, "good")[0].state == "sent"

    add_alert(conn, "other", "bad")
    deliver_due(database, channels, patience=0)
    assert len(bad.requests) == 1, "nothing is sent to a paused channel"
    end_pauses(conn, "bad")
    deliver_due(database, channels, patience=0)
    assert [(job, state) for job, state, _ in delivery_states(conn, "bad")] == [("load", "sent"), ("other", "sent")]
    assert message_states(conn, "bad") == [("regrouped", 1), ("sent", 1), ("sent", 1)]
    assert (len(bad.requests), len(good.requests)) == (3, 1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(500, "oops"), id="500"),
        pytest.param(reply(502, "<html>bad gateway</html>"), id="502"),
        pytest.param(drop, id="drops the connection"),
        pytest.param(cut_short, id="disconnects in the middle of its response"),
        pytest.param(garbage, id="does not speak HTTP"),
    ],
)
def test_a_message_that_may_have_been_accepted_is_sent_again_with_the_same_bytes_and_key(
    conn, database, servers, channels, answer
):
    bad, good = servers
    bad.script = [answer, answer]
    add_alert(conn, "load", "bad", "good")
    for _ in range(3):
        deliver_due(database, channels, patience=0)
        end_pauses(conn, "bad")
    assert len(bad.requests) == 3
    assert len(set(bodies(bad))) == len(set(keys(bad))) == 1
    assert message_states(conn, "bad") == [("sent", 3)]
    assert delivery_states(conn, "bad")[0][:2] == ("load", "sent")
    assert len(good.requests) == 1
    assert delivery_states(conn, "bad", "undelivered") == delivery_states(conn, "good", "undelivered") == []


def test_the_waits_between_attempts_double(conn, database, servers, channels):
    bad, _ = servers
    bad.script = [reply(500)] * 4
    add_alert(conn, "load", "bad")
    for expected in (1, 2, 4, 8):
        began = time.monotonic()
        deliver_due(database, channels, patience=0)
        assert paused(conn, "bad", expected, expected * 1.25, since=began)
        end_pauses(conn, "bad")


def test_a_404_is_dead_at_once_and_reported_on_the_other_channel(conn, database, servers, channels):
    bad, good = servers
    bad.otherwise = reply(404, "no_service")
    add_alert(conn, "load", "bad", "good")
    deliver_due(database, channels, patience=1)
    deliver_due(database, channels, patience=0)
    ((_, state, error),) = delivery_states(conn, "bad")
    assert state == "dead"
    assert "404" in error
    assert "secret" not in error
    assert message_states(conn, "bad") == [("dead", 1)]
    assert len(bad.requests) == 1
    assert [request.json["alerts"][0]["kind"] for request in good.requests] == ["failed", "undelivered"]
    notice = good.requests[1].json
    assert "bad" in notice["text"]
    assert "load" in notice["text"]


def test_alerts_for_a_server_that_cannot_be_reached_are_regrouped(conn, database, monkeypatch, kind):
    with http_server(reply(200, ACCEPTED)) as good:
        channels = opened(
            monkeypatch,
            bad=http_connection(kind, f"http://127.0.0.1:{free_port()}"),
            good=http_connection("http", good.url),
        )
        for number in range(3):
            add_alert(conn, f"load {number}", "bad", "good")
        deliver_due(database, channels, patience=0)
        with http_server(reply(200, ACCEPTED)) as back:
            channels |= opened(monkeypatch, bad=http_connection(kind, back.url))
            for number in range(3, 9):
                add_alert(conn, f"load {number}", "bad")
            end_pauses(conn, "bad")
            deliver_due(database, channels, patience=0)
            assert len(back.requests) == 1, "nine alerts that are due together are one message"
    assert [(job, state) for job, state, _ in delivery_states(conn, "bad")] == [(f"load {n}", "sent") for n in range(9)]
    assert {state for _, state, _ in delivery_states(conn, "good")} == {"sent"}


def test_servers_that_hang_time_out_at_the_same_time_and_delay_no_other_channel(conn, database, monkeypatch):
    """All kinds at once, each until its timeout: the channels do not wait for one another."""
    with ExitStack() as running:
        stuck = {kind: running.enter_context(http_server(hang)) for kind in HTTP_KINDS}
        good = running.enter_context(http_server(reply(200, ACCEPTED)))
        mailbox = running.enter_context(smtp_server())
        mailbox.hang_at = "data"
        channels = opened(
            monkeypatch,
            good=http_connection("http", good.url),
            smtp=mail_connection(mailbox.port),
            **{kind: http_connection(kind, server.url) for kind, server in stuck.items()},
        )
        names = [*stuck, "smtp"]
        add_alert(conn, "load", *names, "good")
        began = time.monotonic()
        report = deliver_due(database, channels, patience=0)
        took = time.monotonic() - began
        assert SEND_TIMEOUT <= took < 2 * SEND_TIMEOUT, "they timed out one after the other"
        sent_after = conn.execute(
            "SELECT extract(epoch FROM d.sent_at - a.created_at) FROM airflow_jobmon.deliveries d "
            "JOIN airflow_jobmon.alerts a ON a.id = d.alert_id WHERE d.channel = 'good'"
        ).fetchone()[0]
        assert sent_after < SEND_TIMEOUT
        assert report.failed == dict.fromkeys(names, 1)
        for name in names:
            ((_, state, error),) = delivery_states(conn, name)
            assert (state, "did not respond" in error) == ("pending", True)
            end_pauses(conn, name)

        for server in stuck.values():
            server.otherwise = reply(200, ACCEPTED)
        mailbox.hang_at = None
        deliver_due(database, channels, patience=0)
        for server in stuck.values():
            assert len(server.requests) == 2
            assert len(set(bodies(server))) == 1
        assert len(mailbox.mails) == 1
        assert [message_states(conn, name) for name in names] == [[("sent", 2)]] * len(names)


def test_slack_refuses_with_status_200(conn, database, monkeypatch):
    with http_server(reply(200, ACCEPTED)) as slack, http_server(reply(200)) as good:
        slack.script = [reply(200, '{"ok": false, "error": "ratelimited"}', Retry_After="30")]
        channels = opened(monkeypatch, bad=http_connection("slack", slack.url), good=http_connection("http", good.url))
        add_alert(conn, "load", "bad")
        began = time.monotonic()
        deliver_due(database, channels, patience=0)
        assert paused(conn, "bad", 30, 30, since=began)
        assert message_states(conn, "bad") == [("regrouped", 1)]
        end_pauses(conn, "bad")
        slack.script = [reply(200, '{"ok": false, "error": "invalid_auth"}')]
        deliver_due(database, channels, patience=1)
        deliver_due(database, channels, patience=0)
        ((_, state, error),) = delivery_states(conn, "bad")
        assert (state, "invalid_auth" in error) == ("dead", True)
        assert [request.json["alerts"][0]["kind"] for request in good.requests] == ["undelivered"]
