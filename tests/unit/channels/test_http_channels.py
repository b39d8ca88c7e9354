"""Every way an HTTP server can misbehave, for every channel that speaks HTTP."""

from __future__ import annotations

import json
import logging
import uuid

import pytest
from airflow.sdk import Connection
from hypothesis import given, settings

from airflow_jobmon.channels.resend import ResendChannel
from airflow_jobmon.channels.slack_api import SlackApiChannel
from airflow_jobmon.channels.slack_webhook import SlackWebhookChannel
from airflow_jobmon.channels.webhook import WebhookChannel
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.errors import ConfigurationError, DeliveryError, PermanentDeliveryError
from demo.ports import free_port
from tests.support import http_server as faults
from tests.support.hostile_alerts import alerts, an_alert, copied, copies, some_alerts
from tests.support.http_server import http_server, reply

KEY = uuid.UUID("12345678-1234-4234-8234-123456789abc")
SECRET = "hunter2hunter2"
ACCEPTED = '{"ok": true, "id": "1"}'


def slack_webhook(url):
    return SlackWebhookChannel(
        "c", connection=Connection(conn_id="c", conn_type="slackwebhook", password=f"{url}/services/T0/B0/{SECRET}")
    )


def slack_api(url):
    extra = json.dumps({"channel": "#job-alerts", "base_url": f"{url}/api/"})
    return SlackApiChannel("c", connection=Connection(conn_id="c", conn_type="slack", password=SECRET, extra=extra))


def resend(url):
    extra = json.dumps({"to": "a@example.com", "from_email": "b@example.com"})
    return ResendChannel(
        "c", connection=Connection(conn_id="c", conn_type="resend", host=url, password=SECRET, extra=extra)
    )


def webhook(url):
    host = f"{url}/alerts?token={SECRET}"
    return WebhookChannel(
        "c", connection=Connection(conn_id="c", conn_type="http", host=host, login="u", password=SECRET)
    )


CHANNELS = [slack_webhook, slack_api, resend, webhook]


@pytest.fixture(params=CHANNELS, ids=lambda make: make.__name__)
def make(request):
    return request.param


@pytest.fixture
def server():
    with http_server(reply(200, ACCEPTED)) as running:
        yield running


def send(channel, timeout=30.0):
    return channel.send(channel.render([an_alert()], key=KEY), key=KEY, timeout=timeout)


def refusal(channel, timeout=30.0):
    with pytest.raises(DeliveryError) as caught:
        send(channel, timeout)
    error = caught.value
    chain = repr(error)
    while error is not None:
        chain += str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert SECRET not in chain
    assert "/services/" not in chain
    return caught.value


def test_exactly_the_rendered_bytes_are_sent(make, server):
    channel = make(server.url)
    body = channel.render([an_alert()], key=KEY)
    for _ in range(2):
        assert channel.send(body, key=KEY, timeout=30).refused == {}
    assert [request.body for request in server.requests] == [body, body]
    assert channel.render([an_alert()], key=KEY) == body


@pytest.mark.parametrize("make", [resend, webhook], ids=lambda make: make.__name__)
def test_the_key_is_the_idempotency_key(make, server):
    send(make(server.url))
    assert server.requests[0].headers["Idempotency-Key"] == str(KEY)


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        pytest.param({}, None, id="without Retry-After"),
        pytest.param({"Retry_After": "7"}, 7, id="seconds"),
        pytest.param({"Retry_After": "0.5"}, 0.5, id="a fraction"),
        pytest.param(
            {"Date": "Mon, 03 Jan 2000 10:00:00 GMT", "Retry_After": "Mon, 03 Jan 2000 10:02:00 GMT"},
            120,
            id="a date, by the server's clock",
        ),
        pytest.param({"Retry_After": "Mon, 03 Jan 2000 10:02:00 GMT"}, 0, id="a date long gone"),
        pytest.param({"Retry_After": "9" * 30}, 86_400, id="absurdly long"),
        pytest.param({"Retry_After": "-5"}, None, id="negative"),
        pytest.param({"Retry_After": "soon"}, None, id="nonsense"),
    ],
)
def test_a_429_is_a_temporary_rejection_with_a_waiting_time(make, server, said, waits):
    server.otherwise = reply(429, '{"ok": false, "error": "ratelimited"}', **said)
    error = refusal(make(server.url))
    assert (error.permanent, error.rejected, error.retry_after) == (False, True, waits)


@pytest.mark.parametrize(("status", "rejected"), [(500, False), (502, False), (503, True), (504, False)], ids=str)
def test_a_5xx_is_temporary_and_only_503_is_a_rejection(make, server, status, rejected):
    server.otherwise = reply(status, "upstream")
    error = refusal(make(server.url))
    assert (error.permanent, error.rejected) == (False, rejected)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_other_4xx_are_permanent_and_say_what_to_do(make, server, status):
    server.otherwise = reply(status, "no_service")
    error = refusal(make(server.url))
    assert error.permanent
    assert error.rejected
    assert f"answered {status}: no_service" in str(error)
    assert "connection 'c'" in str(error)


def test_a_refused_connection_is_a_rejection(make):
    error = refusal(make(f"http://127.0.0.1:{free_port()}"))
    assert (error.permanent, error.rejected) == (False, True)
    assert "cannot connect to 127.0.0.1: connection refused" in str(error)


def test_an_unknown_host_name_is_a_rejection(make):
    error = refusal(make("http://jobmon.invalid"), timeout=30)
    assert (error.permanent, error.rejected) == (False, True)
    assert "jobmon.invalid" in str(error)


@pytest.mark.parametrize(
    "fault",
    [faults.hang, faults.drip_headers, faults.drip_body],
    ids=["silence", "headers drip", "the body drips"],
)
def test_the_timeout_bounds_the_whole_request(make, server, fault):
    """Otherwise the request would last until the server gives up, with a different error."""
    server.otherwise = fault
    error = refusal(make(server.url), timeout=0.6)
    assert (error.permanent, error.rejected) == (False, False)
    assert "did not respond within 0.6 s" in str(error)
    # The abandoned worker is woken: it closes the connection instead of reading on.
    if fault is not faults.hang:
        assert server.finished.acquire(timeout=20)


@pytest.mark.parametrize("fault", [faults.drop, faults.cut_short, faults.garbage], ids=lambda fault: fault.__name__)
def test_a_lost_connection_is_not_a_rejection(make, server, fault):
    server.otherwise = fault
    error = refusal(make(server.url))
    assert (error.permanent, error.rejected) == (False, False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_to_another_host_is_followed(make, server, status):
    with http_server(reply(200, ACCEPTED)) as elsewhere:
        server.otherwise = reply(status, "", Location=f"http://localhost:{elsewhere.port}/x?token={SECRET}")
        error = refusal(make(server.url))
        assert elsewhere.requests == []
    assert error.permanent
    assert "redirects to localhost" in str(error)


def test_a_redirect_on_the_same_server_is_followed_with_the_same_bytes(make, server):
    server.script = [reply(308, "", Location="/final/")]
    channel = make(server.url)
    send(channel)
    first, second = server.requests
    assert second.path == "/final/"
    assert second.body == first.body


def test_a_redirect_loop_ends(make, server):
    server.otherwise = reply(307, "", Location="/again")
    assert refusal(make(server.url)).permanent
    assert len(server.requests) < 6


def test_no_address_reaches_the_log(make, server, caplog):
    with caplog.at_level(logging.DEBUG):
        send(make(server.url))
        server.otherwise = faults.drop
        refusal(make(server.url))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert SECRET not in text
    assert "/services/" not in text


def test_a_login_in_netrc_is_not_used(make, server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    send(make(server.url))
    assert "dGhpZWY6dGhpZWY=" not in server.requests[0].headers.get("Authorization", "")


def test_the_slack_api_gets_channel_and_token(server):
    send(slack_api(server.url))
    (request,) = server.requests
    assert request.path == "/api/chat.postMessage"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.json["channel"] == "#job-alerts"


@pytest.mark.parametrize(
    ("error", "permanent", "rejected"),
    [
        ("channel_not_found", True, True),
        ("invalid_auth", True, True),
        ("token_revoked", True, True),
        ("is_archived", True, True),
        ("not_in_channel", True, True),
        ("invalid_blocks", True, True),
        ("an_unknown_error", True, True),
        ("ratelimited", False, True),
        ("service_unavailable", False, True),
        ("internal_error", False, False),
        ("fatal_error", False, False),
    ],
)
def test_the_error_in_slacks_200_decides(server, error, permanent, rejected):
    server.otherwise = reply(200, json.dumps({"ok": False, "error": error}))
    caught = refusal(slack_api(server.url))
    assert (caught.permanent, caught.rejected) == (permanent, rejected)
    assert error in str(caught)


def test_a_200_that_is_not_slacks_is_not_an_acceptance(server):
    server.otherwise = reply(200, "<html>Please log in")
    for make in (slack_webhook, slack_api):
        error = refusal(make(server.url))
        assert (error.permanent, error.rejected) == (False, False)


@pytest.mark.parametrize(
    ("name", "permanent"), [("invalid_idempotent_request", True), ("concurrent_idempotent_requests", False)]
)
def test_resends_two_conflicts_differ(server, name, permanent):
    server.otherwise = reply(409, json.dumps({"statusCode": 409, "name": name, "message": "m"}))
    assert refusal(resend(server.url)).permanent is permanent


def test_resend_gets_both_parts_and_a_message_id(server):
    send(resend(server.url))
    (request,) = server.requests
    assert request.path == "/emails"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    mail = request.json
    assert (mail["from"], mail["to"]) == ("b@example.com", ["a@example.com"])
    assert mail["subject"] == "ALERT: Job Failed - update-installment-statuses"
    assert mail["html"].startswith("<!DOCTYPE html>")
    assert "Connection timeout" in mail["text"]
    assert mail["headers"]["Message-ID"] == f"<{KEY}@example.com>"


def test_the_webhook_sends_every_field(server):
    sent = [an_alert(job_name=f"j{n}", error="e" * 5000) for n in range(3000)]
    channel = webhook(server.url)
    channel.send(channel.render(sent, key=KEY), key=KEY, timeout=30)
    (request,) = server.requests
    message = request.json
    assert (message["version"], message["key"], message["title"]) == (1, str(KEY), "🚨 3000 jobs failed")
    assert [alert["job_name"] for alert in message["alerts"]] == [alert.job_name for alert in sent]
    assert all(len(alert["error"]) <= 2000 for alert in message["alerts"])
    assert Alert.from_json(message["alerts"][0]).kind == "failed"
    assert request.headers["Authorization"].startswith("Basic ")


def test_headers_of_the_connection_are_sent(server):
    connection = Connection(conn_id="c", conn_type="http", host=server.url, extra=json.dumps({"X-Team": "data"}))
    send(WebhookChannel("c", connection=connection))
    assert server.requests[0].headers["X-Team"] == "data"


@settings(max_examples=15, deadline=None)
@given(some_alerts, copies)
def test_no_batch_breaks_the_webhooks_json(some, times):
    batch = copied(some, times)
    channel = webhook("http://x.example")
    body = channel.render(batch, key=KEY)
    message = json.loads(body)
    assert len(message["alerts"]) == len(batch)
    json.dumps(message, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    assert "hunter2@" not in body.decode()
    assert "=hunter2" not in body.decode()


@settings(max_examples=15, deadline=None)
@given(alerts)
def test_no_alert_breaks_resends_json(alert):
    mail = json.loads(resend("http://x.example").render([alert], key=KEY))
    assert "\n" not in mail["subject"]
    json.dumps(mail, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("make_channel", "fields", "says"),
    [
        (SlackWebhookChannel, {"conn_type": "slackwebhook"}, "connection 'c' has no password"),
        (SlackWebhookChannel, {"conn_type": "slackwebhook", "password": "ftp://x/y"}, "HTTP address"),
        (SlackApiChannel, {"conn_type": "slack", "password": "x"}, "connection 'c' has no 'channel'"),
        (SlackApiChannel, {"conn_type": "slack", "extra": '{"channel": "#a"}'}, "connection 'c' has no password"),
        (ResendChannel, {"conn_type": "resend", "password": "x"}, "connection 'c' has no 'to'"),
        (ResendChannel, {"conn_type": "resend", "password": "x", "extra": '{"to": "a@b.c"}'}, "no 'from_email'"),
        (
            ResendChannel,
            {"conn_type": "resend", "extra": '{"to": "a@b.c", "from_email": "a@b.c"}'},
            "connection 'c' has no password",
        ),
        (ResendChannel, {"conn_type": "resend", "password": "x", "extra": "{not json"}, "extra is not a JSON object"),
        (ResendChannel, {"conn_type": "resend", "password": "x", "extra": "[1]"}, "extra is not a JSON object"),
        (WebhookChannel, {"conn_type": "http"}, "not form a valid HTTP address"),
        (WebhookChannel, {"conn_type": "http", "host": "ftp://x"}, "not form a valid HTTP address"),
        (
            WebhookChannel,
            {"conn_type": "http", "host": "http://x:port"},
            "not form a valid HTTP address",
        ),
    ],
)
def test_opening_names_the_missing_field_of_a_connection(make_channel, fields, says):
    with pytest.raises(ConfigurationError, match=says):
        make_channel("c", connection=Connection(conn_id="c", **fields))


def test_a_permanent_error_is_a_delivery_error():
    assert issubclass(PermanentDeliveryError, DeliveryError)
