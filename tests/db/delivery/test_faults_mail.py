"""Email with mail servers that need STARTTLS and AUTH, refuse recipients for now or for good, and disconnect."""

from __future__ import annotations

import time

import pytest

from airflow_jobmon.delivery.sender import deliver_due
from tests.support.certificates import make_certificate, server_tls
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import (
    delivery_states,
    end_pauses,
    http_connection,
    mail_connection,
    message_states,
    opened,
    paused,
)
from tests.support.http_server import http_server, reply
from tests.support.smtp_server import smtp_server

ONCALL, BACKUP = "oncall@example.com", "backup@example.com"


@pytest.fixture
def mailbox():
    with smtp_server() as server:
        yield server


@pytest.fixture
def good():
    with http_server(reply(200)) as server:
        yield server


@pytest.fixture
def channels(monkeypatch, mailbox, good):
    return opened(monkeypatch, mail=mail_connection(mailbox.port), good=http_connection("http", good.url))


def undelivered(server):
    return [request.json["text"] for request in server.requests if request.json["alerts"][0]["kind"] == "undelivered"]


def test_starttls_and_auth(conn, database, monkeypatch, tmp_path):
    pem = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with smtp_server(tls=server_tls(pem), login=("alerts", "s3cret")) as server:
        channels = opened(
            monkeypatch,
            mail=mail_connection(server.port, disable_tls=False, login="alerts", password="s3cret"),
        )
        add_alert(conn, "load", "mail")
        report = deliver_due(database, channels)
        assert report.errors == {}
        ((mail),) = server.mails
        assert (mail.tls, mail.login) == (True, "alerts")
        assert mail.recipients == [ONCALL, BACKUP]
        assert mail.message["Subject"] == "ALERT: Job Failed - load"
        (message_id,) = conn.execute("SELECT id::text FROM airflow_jobmon.messages").fetchone()
        assert mail.message["Message-ID"] == f"<{message_id}@example.com>"


def test_a_wrong_password_is_dead_at_once_and_reported_on_the_other_channel(
    conn, database, monkeypatch, tmp_path, good
):
    pem = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with smtp_server(tls=server_tls(pem), login=("alerts", "s3cret")) as server:
        channels = opened(
            monkeypatch,
            mail=mail_connection(server.port, disable_tls=False, login="alerts", password="hunter2"),
            good=http_connection("http", good.url),
        )
        add_alert(conn, "load", "mail", "good")
        deliver_due(database, channels, patience=1)
        deliver_due(database, channels, patience=0)
        ((_, state, error),) = delivery_states(conn, "mail")
        assert (state, "535" in error, "hunter2" in error) == ("dead", True, False)
        (notice,) = undelivered(good)
        assert "535" in notice
        assert server.mails == []


def test_a_server_without_starttls_is_not_sent_the_password(conn, database, monkeypatch, mailbox):
    channels = opened(
        monkeypatch, mail=mail_connection(mailbox.port, disable_tls=False, login="alerts", password="s3cret")
    )
    add_alert(conn, "load", "mail")
    deliver_due(database, channels, patience=0)
    ((_, state, error),) = delivery_states(conn, "mail")
    assert (state, "STARTTLS" in error) == ("dead", True)
    assert mailbox.mails == []


def test_a_mail_refused_for_now_is_sent_again(conn, database, channels, mailbox, good):
    mailbox.data = ["451 try later", "452 no space"]
    add_alert(conn, "load", "mail", "good")
    for _ in range(3):
        deliver_due(database, channels, patience=0)
        end_pauses(conn, "mail")
    assert [state for _, state, _ in delivery_states(conn, "mail")] == ["sent"]
    assert message_states(conn, "mail") == [("regrouped", 1), ("regrouped", 1), ("sent", 1)]
    assert len(mailbox.mails) == 1
    assert len(good.requests) == 1


@pytest.mark.parametrize(
    "refuse",
    [
        pytest.param({"data": ["554 looks like spam"]}, id="the mail"),
        pytest.param({"sender": "550 who are you"}, id="the sender"),
        pytest.param({"recipients": {ONCALL: "550 unknown", BACKUP: "550 unknown"}}, id="every recipient"),
    ],
)
def test_a_mail_refused_for_good_is_dead_and_reported_on_the_other_channel(
    conn, database, channels, mailbox, good, refuse
):
    for name, value in refuse.items():
        setattr(mailbox, name, value)
    add_alert(conn, "load", "mail", "good")
    deliver_due(database, channels, patience=1)
    deliver_due(database, channels, patience=0)
    ((_, state, error),) = delivery_states(conn, "mail")
    assert state == "dead"
    assert error.split(": ")[-1] in undelivered(good)[0]
    assert len(undelivered(good)) == 1
    assert mailbox.mails == []


def test_a_refused_recipient_does_not_keep_the_mail_from_the_other(conn, database, channels, mailbox, good):
    mailbox.recipients = {BACKUP: "550 no such mailbox"}
    add_alert(conn, "load", "mail", "good")
    deliver_due(database, channels, patience=1)
    deliver_due(database, channels, patience=0)
    assert [mail.recipients for mail in mailbox.mails] == [[ONCALL]]
    ((_, state, error),) = delivery_states(conn, "mail")
    assert state == "sent"
    assert BACKUP in error
    assert "550" in error
    assert undelivered(good) == []


def test_a_recipient_refused_for_now_gets_the_same_mail_later_and_the_other_does_not(conn, database, channels, mailbox):
    mailbox.recipients = {BACKUP: "450 greylisted, come back"}
    add_alert(conn, "load", "mail")
    deliver_due(database, channels, patience=0)
    assert [mail.recipients for mail in mailbox.mails] == [[ONCALL]]
    assert [state for _, state, _ in delivery_states(conn, "mail")] == ["pending"]
    end_pauses(conn, "mail")
    deliver_due(database, channels, patience=0)
    assert len(mailbox.mails) == 1
    mailbox.recipients = {}
    end_pauses(conn, "mail")
    deliver_due(database, channels, patience=0)
    assert [mail.recipients for mail in mailbox.mails] == [[ONCALL], [BACKUP]]
    assert mailbox.mails[0].content == mailbox.mails[1].content
    assert [state for _, state, _ in delivery_states(conn, "mail")] == ["sent"]


def test_a_connection_lost_after_sending_causes_one_repeat_with_the_same_message_id(conn, database, channels, mailbox):
    mailbox.data = ["drop"]
    add_alert(conn, "load", "mail")
    began = time.monotonic()
    deliver_due(database, channels, patience=0)
    assert message_states(conn, "mail") == [("open", 1)]
    assert paused(conn, "mail", 1, 1.25, since=began)
    end_pauses(conn, "mail")
    deliver_due(database, channels, patience=0)
    assert message_states(conn, "mail") == [("sent", 2)]
    (message_id,) = conn.execute("SELECT id::text FROM airflow_jobmon.messages").fetchone()
    assert [mail.message["Message-ID"] for mail in mailbox.mails] == [f"<{message_id}@example.com>"]
