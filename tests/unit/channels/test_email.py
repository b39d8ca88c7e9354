"""Every way an SMTP server can misbehave, with real servers on loopback."""

from __future__ import annotations

import json
import uuid

import pytest
from airflow.sdk import Connection

from airflow_jobmon.channels.email import EmailChannel
from airflow_jobmon.errors import ConfigurationError, DeliveryError
from demo.ports import free_port
from tests.support.certificates import make_certificate, server_tls
from tests.support.hostile_alerts import an_alert
from tests.support.smtp_server import smtp_server, talker

KEY = uuid.UUID("12345678-1234-4234-8234-123456789abc")
ONCALL, BACKUP = "oncall@example.com", "backup@example.com"
PLAIN = {"disable_ssl": True, "disable_tls": True}


def channel_on(port, *, login=None, password=None, **extra):
    fields = {"to": [ONCALL, BACKUP], "from_email": "Jobs <alerts@example.com>", **PLAIN, **extra}
    connection = Connection(
        conn_id="mail",
        conn_type="smtp",
        host="127.0.0.1",
        port=port,
        login=login,
        password=password,
        extra=json.dumps({name: value for name, value in fields.items() if value is not None}),
    )
    return EmailChannel("mail", connection=connection)


def send(channel, only=None, timeout=30.0):
    return channel.send(channel.render([an_alert()], key=KEY), key=KEY, timeout=timeout, only=only)


def refusal(channel, timeout=30.0):
    with pytest.raises(DeliveryError) as caught:
        send(channel, timeout=timeout)
    return caught.value


@pytest.fixture
def server():
    with smtp_server() as running:
        yield running


def test_a_mail_reaches_all_recipients_with_both_parts(server):
    accepted = send(channel_on(server.port))
    (mail,) = server.mails
    assert (accepted.refused, accepted.retry) == ({}, {})
    assert (mail.sender, mail.recipients) == ("alerts@example.com", [ONCALL, BACKUP])
    message = mail.message
    assert message["Subject"] == "ALERT: Job Failed - update-installment-statuses"
    assert message["Message-ID"] == f"<{KEY}@example.com>"
    assert message.get_body(("plain",)) is not None
    assert "Connection timeout after 3 retries" in message.get_body(("html",)).get_content()


def test_the_stored_bytes_are_resent_unchanged(server):
    channel = channel_on(server.port)
    body = channel.render([an_alert(job_name="jób " * 60)], key=KEY)
    for _ in range(2):
        channel.send(body, key=KEY, timeout=30)
    assert [mail.content.rstrip() for mail in server.mails] == [body.rstrip()] * 2


def test_one_refused_recipient_of_two_does_not_stop_the_other(server):
    server.recipients = {BACKUP: "550 no such user here"}
    accepted = send(channel_on(server.port))
    assert accepted.refused == {BACKUP: "550 no such user here"}
    assert server.mails[0].recipients == [ONCALL]


def test_a_recipient_refused_for_now_is_retried_alone(server):
    server.recipients = {BACKUP: "451 try later"}
    channel = channel_on(server.port)
    accepted = send(channel)
    assert accepted.retry == {BACKUP: "451 try later"}
    server.recipients = {}
    send(channel, only=[BACKUP])
    assert [mail.recipients for mail in server.mails] == [[ONCALL], [BACKUP]]
    assert server.mails[0].content == server.mails[1].content


@pytest.mark.parametrize(
    ("answers", "permanent"),
    [
        pytest.param({ONCALL: "550 unknown", BACKUP: "554 blocked"}, True, id="all for good"),
        pytest.param({ONCALL: "450 greylisted", BACKUP: "451 later"}, False, id="all for now"),
        pytest.param({ONCALL: "550 unknown", BACKUP: "451 later"}, False, id="one of each"),
    ],
)
def test_nothing_is_sent_if_every_recipient_is_refused(server, answers, permanent):
    server.recipients = answers
    error = refusal(channel_on(server.port))
    assert (error.permanent, error.rejected) == (permanent, True)
    assert all(address in str(error) for address in answers)
    assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "permanent"), [("554 spam", True), ("552 too big", True), ("451 busy", False), ("421 closing", False)]
)
def test_a_refused_mail_is_tried_once_and_its_code_decides(server, answer, permanent):
    server.data = [answer]
    error = refusal(channel_on(server.port))
    assert (error.permanent, error.rejected) == (permanent, True)
    assert answer in str(error)
    assert server.attempts == 1


@pytest.mark.parametrize(("answer", "permanent"), [("553 not allowed", True), ("452 no space", False)])
def test_the_code_of_a_refused_sender_decides(server, answer, permanent):
    server.sender = answer
    error = refusal(channel_on(server.port))
    assert (error.permanent, error.rejected) == (permanent, True)
    assert "alerts@example.com" in str(error)


def test_starttls_and_auth(tmp_path, monkeypatch):
    pem = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with smtp_server(tls=server_tls(pem), login=("me", "secret")) as server:
        send(channel_on(server.port, login="me", password="secret", disable_tls=None))
        (mail,) = server.mails
        assert (mail.tls, mail.login) == (True, "me")


def test_an_untrusted_certificate_is_refused(tmp_path):
    with smtp_server(tls=server_tls(make_certificate(tmp_path))) as server:
        error = refusal(channel_on(server.port, disable_tls=None))
        assert (error.permanent, error.rejected) == (False, True)
        assert "certificate was refused" in str(error)
        assert server.mails == []


def test_a_server_without_starttls_says_what_to_set(server):
    error = refusal(channel_on(server.port, disable_tls=None))
    assert error.permanent
    assert "disable_tls" in str(error)


def test_tls_to_a_server_without_it_is_a_rejection(server):
    error = refusal(channel_on(server.port, disable_ssl=None))
    assert (error.permanent, error.rejected) == (False, True)


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [pytest.param(None, True, id="535"), pytest.param("454 4.7.0 try later", False, id="454")],
)
def test_a_refused_login_is_permanent_unless_the_server_says_later(answer, permanent):
    with smtp_server(login=("me", "secret")) as server:
        server.login_answer = answer
        error = refusal(channel_on(server.port, login="me", password="wr0ng-pw"))
        assert (error.permanent, error.rejected) == (permanent, True)
        assert "wr0ng-pw" not in str(error)


def test_a_missing_login_is_permanent():
    with smtp_server(login=("me", "secret")) as server:
        error = refusal(channel_on(server.port))
        assert error.permanent
        assert "530" in str(error)


def test_a_refused_connection_is_a_rejection():
    error = refusal(channel_on(free_port()))
    assert (error.permanent, error.rejected) == (False, True)
    assert "connection refused" in str(error)


def test_a_connection_lost_after_the_mail_is_not_a_rejection(server):
    server.data = ["drop"]
    error = refusal(channel_on(server.port))
    assert (error.permanent, error.rejected) == (False, False)
    assert "may have it" in str(error)


def test_silence_after_the_mail_is_not_a_rejection(server):
    server.hang_at = "data"
    error = refusal(channel_on(server.port), timeout=0.6)
    assert (error.permanent, error.rejected) == (False, False)
    assert "did not respond within 0.6 s" in str(error)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no greeting"),
        pytest.param([b"220 hello\r\n"], id="nothing after the greeting"),
        pytest.param([b"220 hello\r\n", b"250 ok\r\n"], id="nothing after EHLO"),
    ],
)
def test_silence_before_the_mail_is_a_rejection_and_bounded(lines):
    with talker(*lines) as port:
        error = refusal(channel_on(port), timeout=0.4)
        assert (error.permanent, error.rejected) == (False, True)
        assert "could not be reached within 0.4 s" in str(error)


@pytest.mark.parametrize(
    ("line", "permanent"),
    [
        pytest.param(b"554 go away\r\n", True, id="refused at the door"),
        pytest.param(b"421 too busy\r\n", False, id="busy"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", False, id="no SMTP at all"),
    ],
)
def test_a_greeting_that_is_not_smtp(line, permanent):
    with talker(line, hang_after=False) as port:
        error = refusal(channel_on(port))
        assert (error.permanent, error.rejected) == (permanent, True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"host": None}, "connection 'mail' has no host"),
        ({"extra": json.dumps({"from_email": "a@b.c"})}, "connection 'mail' has no 'to'"),
        ({"extra": json.dumps({"to": "a@b.c"})}, "connection 'mail' has no 'from_email'"),
        ({"extra": json.dumps({"to": "nobody", "from_email": "a@b.c"})}, "'to' is 'nobody'"),
    ],
)
def test_opening_names_the_missing_field_of_a_connection(fields, says):
    good = {"host": "h", "extra": json.dumps({"to": "a@b.c", "from_email": "a@b.c"})}
    with pytest.raises(ConfigurationError, match=says):
        EmailChannel("mail", connection=Connection(conn_id="mail", conn_type="smtp", **{**good, **fields}))


def test_arguments_override_the_connection():
    connection = Connection(conn_id="mail", conn_type="smtp", host="h", extra=json.dumps({"to": "a@b.c"}))
    channel = EmailChannel("mail", name="team", to=["x@y.z"], from_email="f@y.z", connection=connection)
    assert (channel.name, channel.to, channel.from_email) == ("team", ("x@y.z",), "f@y.z")
