from __future__ import annotations

import json
import subprocess
import sys

import pytest
from airflow.sdk import Connection

from airflow_jobmon.channels.channel_types import channel_for
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.runtime.connections import open_channel

MAIL = json.dumps({"to": "a@b.c", "from_email": "d@e.f"})


@pytest.mark.parametrize(
    ("conn_type", "fields", "expected"),
    [
        ("slackwebhook", {"password": "https://hooks.slack.com/services/T/B/X"}, "SlackWebhookChannel"),
        ("slack", {"password": "xoxb-1", "extra": '{"channel": "#job-alerts"}'}, "SlackApiChannel"),
        ("smtp", {"host": "mail", "extra": MAIL}, "EmailChannel"),
        ("resend", {"password": "re_1", "extra": MAIL}, "ResendChannel"),
        ("http", {"host": "https://example.com/alerts"}, "WebhookChannel"),
    ],
)
def test_the_connections_type_picks_the_channel(monkeypatch, conn_type, fields, expected):
    monkeypatch.setenv("AIRFLOW_CONN_SOME", json.dumps({"conn_type": conn_type, **fields}))
    channel = open_channel("some")
    assert (type(channel).__name__, channel.name) == (expected, "some")


def test_an_unsupported_type_is_refused_with_the_supported_ones():
    with pytest.raises(ConfigurationError, match=r"'db' has type 'postgres'.*slackwebhook, slack, smtp, resend, http"):
        channel_for(Connection(conn_id="db", conn_type="postgres"))


def test_notifiers_import_nothing_heavy():
    code = (
        "import sys, airflow.sdk; before = set(sys.modules); import airflow_jobmon.notifiers; "
        "new = set(sys.modules) - before; "
        "print(sorted(m for m in new if m.split('.')[0] in {'requests', 'slack_sdk', 'jinja2', 'pydantic', 'aiohttp'} "
        "or m.startswith('airflow.providers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
