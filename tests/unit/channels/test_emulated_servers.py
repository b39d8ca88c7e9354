"""Messages accepted by third-party emulators of Slack and Resend."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.sdk import Connection

from airflow_jobmon.channels.resend import ResendChannel
from airflow_jobmon.channels.slack_api import SlackApiChannel
from airflow_jobmon.channels.slack_webhook import SlackWebhookChannel
from airflow_jobmon.errors import PermanentDeliveryError
from tests.support.emulate import emulated
from tests.support.hostile_alerts import an_alert


@pytest.fixture(scope="module")
def emulate():
    with emulated() as running:
        yield running


def deliver(channel, alerts, key=None):
    key = key or uuid.uuid4()
    return channel.send(channel.render(alerts, key=key), key=key, timeout=30)


def api(emulate, channel):
    extra = json.dumps({"channel": channel, "base_url": f"{emulate.slack}/api/"})
    return SlackApiChannel(
        "s", connection=Connection(conn_id="s", conn_type="slack", password="xoxb-test", extra=extra)
    )


def webhook(url):
    return SlackWebhookChannel("w", connection=Connection(conn_id="w", conn_type="slackwebhook", password=url))


def resend(emulate, password="re_test"):
    extra = json.dumps({"to": ["a@example.com", "b@example.com"], "from_email": "Jobs <alerts@example.com>"})
    return ResendChannel(
        "r", connection=Connection(conn_id="r", conn_type="resend", host=emulate.resend, password=password, extra=extra)
    )


def test_slack_accepts_a_message_by_webhook(emulate):
    name = f"by-webhook-{uuid.uuid4()}"
    deliver(webhook(emulate.webhook), [an_alert(job_name=name)])
    messages = emulate.slack_messages(emulate.channel_id("general"))
    assert any(name in message["text"] for message in messages)


def test_slack_accepts_a_batch_of_thousands_by_webhook(emulate):
    deliver(webhook(emulate.webhook), [an_alert(job_name=f"batch-{n}") for n in range(3000)])


def test_slack_accepts_a_message_by_its_api(emulate):
    channel_id = emulate.channel_id("random")
    name = f"by-api-{uuid.uuid4()}"
    deliver(api(emulate, channel_id), [an_alert(job_name=name)])
    message = next(message for message in emulate.slack_messages(channel_id) if name in message["text"])
    assert message["blocks"][0]["text"]["text"] == f"🚨 Job Failed: {name}"


def test_slack_refuses_an_unknown_channel_for_good(emulate):
    with pytest.raises(PermanentDeliveryError, match="channel_not_found; check the channel's name"):
        deliver(api(emulate, "C404404404"), [an_alert()])


def test_resend_accepts_a_repeat_under_the_same_key_once(emulate):
    name = f"resend-{uuid.uuid4()}"
    channel, key = resend(emulate), uuid.uuid4()
    for _ in range(3):
        deliver(channel, [an_alert(job_name=name)], key)
    (mail,) = [mail for mail in emulate.emails() if name in mail["subject"]]
    assert mail["to"] == ["a@example.com", "b@example.com"]
    assert mail["from"] == "Jobs <alerts@example.com>"


def test_resend_refuses_the_key_for_another_message(emulate):
    channel, key = resend(emulate), uuid.uuid4()
    deliver(channel, [an_alert()], key)
    with pytest.raises(PermanentDeliveryError, match="used for another"):
        deliver(channel, [an_alert(job_name="another")], key)


def test_two_senders_with_the_same_key_are_one_mail(emulate):
    name = f"twice-{uuid.uuid4()}"
    channels, key = [resend(emulate), resend(emulate)], uuid.uuid4()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(deliver, channel, [an_alert(job_name=name)], key) for channel in channels]:
            error = done.exception()
            assert error is None or not error.permanent
    assert len([mail for mail in emulate.emails() if name in mail["subject"]]) == 1


def test_the_test_button_against_resend(emulate):
    from airflow_jobmon.channels.airflow_connection import hook_for
    from airflow_jobmon.hooks import ResendHook

    connection = Connection(conn_id="r", conn_type="resend", host=emulate.resend, password="re_test")
    assert hook_for(ResendHook, connection, resend_conn_id="r").test_connection()[0]
