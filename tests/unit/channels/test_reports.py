"""Reports on every channel: within its limits, and harmless with any text in them."""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from html.parser import HTMLParser
from uuid import UUID

import pytest
from airflow.sdk import Connection
from hypothesis import given

from airflow_jobmon.channels.channel_types import channel_for
from airflow_jobmon.channels.email_message import email_bytes
from airflow_jobmon.channels.email_report import report_email
from airflow_jobmon.channels.slack_report import slack_report
from tests.support.delivery_faults import http_connection, mail_connection
from tests.support.sample_reports import a_report, reports
from tests.unit.channels.test_slack_message import check_harmless, check_limits

KEY = UUID("5f2b7f0e-7d4e-4c35-9d64-6a4c3a0f6a11")


@given(reports)
def test_a_report_never_breaks_slacks_limits_or_mentions_anyone(report):
    message = slack_report(report)
    check_limits(message)
    check_harmless(message)
    assert sum(len(json.dumps(block)) for block in message["blocks"]) < 60_000


@pytest.mark.parametrize("jobs", [1, 30, 500])
def test_slack_shows_as_many_rows_as_fit_and_counts_the_rest(jobs):
    message = slack_report(a_report(jobs=jobs))
    check_limits(message)
    text = "\n".join(block["text"]["text"] for block in message["blocks"] if "text" in block)
    shown = len(re.findall(r"^job-\d+ ", text, re.MULTILINE))
    assert shown >= min(jobs, 150)
    assert (f"and {jobs - shown} more" in text) == (shown < jobs)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = set()
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]


@given(reports)
def test_no_text_becomes_markup_in_an_email(report):
    letter = report_email(report)
    tags = Tags(letter.html)
    assert tags.seen <= set(
        "html head meta title style body table tr td th h1 h2 p a div ul li".split()  # noqa: SIM905
    )
    assert all(link.startswith(("https://", "http://")) for link in tags.links)
    assert len(letter.html.encode("utf-8", "replace")) < 102_000 or not report.sections
    assert "\n" not in letter.subject


@given(reports)
def test_a_report_makes_a_mail_that_parses_back(report):
    raw = email_bytes(
        report_email(report), at=report.at, key=KEY, sender="jobmon@example.com", recipients=["oncall@example.com"]
    )
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail.defects == []
    assert {part.get_content_type() for part in mail.iter_parts()} == {"text/plain", "text/html"}
    assert mail["To"] == "oncall@example.com"
    assert "Bcc" not in mail


@pytest.mark.parametrize("kind", ["slackwebhook", "slack", "resend", "http", "smtp"])
def test_every_kind_of_channel_renders_the_same_report_to_the_same_bytes(kind):
    fields = mail_connection(25) if kind == "smtp" else http_connection(kind, "http://127.0.0.1:1")
    fields["extra"] = json.dumps(fields["extra"])
    channel = channel_for(Connection(conn_id="c", **fields))
    first, again = (channel.render_report(a_report(), key=KEY) for _ in range(2))
    assert first == again
    assert b"Morning check" in first or b"TW9ybmluZyBjaGVjaz" in first


def test_a_webhook_gets_the_numbers_too():
    fields = http_connection("http", "http://127.0.0.1:1")
    channel = channel_for(Connection(conn_id="c", **(fields | {"extra": "{}"})))
    message = json.loads(channel.render_report(a_report(), key=KEY))
    assert message["report"]["kind"] == "daily"
    assert message["report"]["sections"][1]["table"]["rows"][0][0] == "job-0"
    assert "alerts" not in message
