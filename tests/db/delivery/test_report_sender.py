"""Reports are stored before they are sent, retried like alerts, and never regrouped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_jobmon.channels import Accepted
from airflow_jobmon.delivery.report_sender import send_report
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.postgres.outbox import addressed_channels, newest_due_alert
from airflow_jobmon.postgres.reports import latest_report, messages_of
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import end_pauses, http_connection, mail_connection, opened
from tests.support.http_server import http_server, reply
from tests.support.recording_channel import Recorder
from tests.support.sample_reports import a_report
from tests.support.smtp_server import smtp_server


def test_a_report_reaches_every_channel_and_is_stored(conn, database, monkeypatch):
    with http_server(reply(200, '{"ok": true, "id": "1"}')) as server, smtp_server() as mailbox:
        kinds = ("slackwebhook", "slack", "resend", "http")
        named = {kind: http_connection(kind, server.url) for kind in kinds}
        channels = opened(monkeypatch, mail=mail_connection(mailbox.port), **named)
        sent = send_report(database, a_report(), channels)
        assert sent.failed == {}
        assert [(message.channel, message.state) for message in sent.messages] == [
            (name, "sent") for name in sorted(["mail", *kinds])
        ]
        assert len(server.requests) == 4
        assert len(mailbox.mails) == 1
    kept = latest_report(conn, "daily")
    assert kept is not None
    assert kept.details["title"] == a_report().title


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(DeliveryError("429", rejected=True, retry_after=60), id="refused for now"),
        pytest.param(DeliveryError("broke off", retry_after=60), id="perhaps taken"),
    ],
)
def test_a_channel_that_is_down_receives_the_same_bytes_with_a_later_delivery(conn, database, error):
    slack = Recorder("slack", lambda attempt: error if attempt == 1 else Accepted())
    sent = send_report(database, a_report(), {"slack": slack})
    assert [message.state for message in sent.messages] == ["open"]
    assert sent.failed == {}
    assert addressed_channels(conn) == {"slack"}
    end_pauses(conn, "slack")
    assert newest_due_alert(conn) == 0
    deliver_due(database, {"slack": slack})
    [message] = messages_of(conn, sent.report_id)
    assert (message.state, message.attempts) == ("sent", 2)
    assert slack.bodies[0] == slack.bodies[1]
    assert slack.sent[0][0] == slack.sent[1][0]
    assert newest_due_alert(conn) is None


def test_a_channel_that_refuses_for_good_is_named_and_the_others_get_the_report(conn, database):
    dead = Recorder("dead", lambda _: PermanentDeliveryError("404 no_team"))
    good = Recorder("good")
    sent = send_report(database, a_report(), {"dead": dead, "good": good})
    assert sent.failed == {"dead": "404 no_team"}
    assert len(good.sent) == 1


def test_a_channel_that_cannot_render_a_report_is_named_and_the_others_get_it(database):
    class Broken(Recorder):
        def render_report(self, report, *, key):
            raise ValueError("no such block")

    good = Recorder("good")
    sent = send_report(database, a_report(), {"broken": Broken("broken"), "good": good})
    assert sent.failed == {"broken": "cannot be rendered: ValueError: no such block"}
    assert len(good.sent) == 1


def test_a_report_does_not_absorb_pending_alerts(conn, database):
    slack = Recorder("slack")
    for number in range(8):
        add_alert(conn, f"job-{number}", "slack")
    send_report(database, a_report(), {"slack": slack})
    assert sorted(len(lines) for _, lines, _ in slack.sent) == [1, 8]


def test_a_report_without_channels_is_stored_too(conn, database):
    assert send_report(database, a_report(), {}).messages == ()
    assert latest_report(conn, "daily") is not None
    assert latest_report(conn, "weekly") is None


def test_a_report_that_is_sent_again_goes_only_to_channels_that_have_not_received_it(conn, database):
    taken, refusing = Recorder("taken"), Recorder("refusing", lambda _: PermanentDeliveryError("404 no_team"))
    down = Recorder("down", lambda _: DeliveryError("429", rejected=True, retry_after=60))
    first = send_report(
        database, a_report(), {"taken": taken, "refusing": refusing, "down": down}, key="digest of today"
    )
    assert set(first.failed) == {"refusing"}
    mended, added = Recorder("refusing"), Recorder("added")
    channels = {"taken": taken, "refusing": mended, "down": down, "added": added}
    again = send_report(database, a_report(title="Made again"), channels, key="digest of today")
    assert again.report_id == first.report_id
    assert {message.channel: message.state for message in again.messages} == {
        "added": "sent", "down": "open", "refusing": "sent", "taken": "sent",
    }  # fmt: skip
    assert again.failed == {}
    assert [len(channel.sent) for channel in (taken, mended, added)] == [1, 1, 1]
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.messages WHERE channel = 'down'").fetchone() == (1,)
    send_report(database, a_report(), {"taken": taken}, key="digest of tomorrow")
    send_report(database, a_report(), {"taken": taken})
    send_report(database, a_report(), {"taken": taken})
    assert len(taken.sent) == 4


def test_a_channel_that_is_no_longer_given_is_not_a_failure(database):
    refusing = Recorder("refusing", lambda _: PermanentDeliveryError("404 no_team"))
    send_report(database, a_report(), {"refusing": refusing}, key="digest")
    assert send_report(database, a_report(), {"other": Recorder("other")}, key="digest").failed == {}


def test_simultaneous_attempts_send_it_once(database):
    slack = Recorder("slack")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: send_report(database, a_report(), {"slack": slack}, key="digest"), range(4)))
    assert len(slack.sent) == 1
