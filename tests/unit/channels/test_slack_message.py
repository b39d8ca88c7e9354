"""Slack messages: their content, and that no text a job can log breaks their markup or Slack's limits."""

from __future__ import annotations

import json
import re
import uuid
from html import unescape

import pytest
from hypothesis import given, settings

from airflow_jobmon.channels.slack_message import escaped, slack_message
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.health import Health
from tests.support.hostile_alerts import alerts, an_alert, copied, copies, some_alerts, texts

KEY = uuid.UUID("12345678-1234-4234-8234-123456789abc")
_REAL_MARKUP = re.compile(r"<[^>]*>")
_BROADCAST = re.compile(r"@(here|channel|everyone|group)\b", re.IGNORECASE)


def utf16(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def text_objects(message):
    for block in message["blocks"]:
        yield from block.get("fields", [])
        if "text" in block:
            yield block["text"]
        for element in block.get("elements", []):
            yield element["text"]


def check_limits(message):
    assert 1 <= len(message["blocks"]) <= 50
    assert 0 < utf16(message["text"]) < 4_000
    for block in message["blocks"]:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 0 < utf16(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            if "text" in block:
                assert 0 < utf16(block["text"]["text"]) <= 3_000
            fields = block.get("fields", [])
            assert len(fields) <= 10
            assert all(0 < utf16(field["text"]) <= 2_000 for field in fields)
        else:
            assert block["type"] == "actions"
            assert all(len(button["url"]) <= 3_000 for button in block["elements"])
            assert all(utf16(button["text"]["text"]) <= 75 for button in block["elements"])
    assert sum(utf16(found["text"]) for found in text_objects(message)) < 10_500  # Slack's unwritten limit is 12,000


def check_harmless(message):
    for found in [{"type": "mrkdwn", "text": message["text"], "verbatim": True}, *text_objects(message)]:
        text = found["text"]
        assert not _REAL_MARKUP.search(text), text
        assert not _BROADCAST.search(text), text
        assert "hunter2" not in text
        if found["type"] == "mrkdwn":
            assert found["verbatim"] is True
            bare = re.sub(r"&(amp|lt|gt);", "", text)
            assert not set(bare) & set("&<>"), text  # nothing unescaped, no entity cut in two


@settings(max_examples=80, deadline=None)
@given(alerts)
def test_no_alert_breaks_slacks_limits_or_markup(alert):
    message = slack_message([alert])
    check_limits(message)
    check_harmless(message)
    assert json.loads(json.dumps(message)) == message


@settings(max_examples=25, deadline=None)
@given(some_alerts, copies)
def test_no_batch_breaks_slacks_limits_or_markup(some, times):
    batch = copied(some, times)
    message = slack_message(batch)
    check_limits(message)
    check_harmless(message)


@given(texts)
def test_escaped_text_reads_like_the_original(text):
    shown = unescape(escaped(text, 10_000))
    assert shown == re.sub(r"(?i)@(?=here|channel|everyone|group)", "\uff20", text).replace("```", "'''")


def fields_of(message):
    found = {}
    for block in message["blocks"]:
        for field in block.get("fields", []):
            label, _, value = field["text"].partition("\n")
            found[label.strip("*")] = value
    return found


def test_a_failure_looks_as_in_the_procedures():
    message = slack_message([an_alert()])
    header, *_, actions = message["blocks"]
    assert header["text"]["text"] == "🚨 Job Failed: update-installment-statuses"
    assert list(fields_of(message).items())[:3] == [
        ("Job Name", "update-installment-statuses"),
        ("Error", "Connection timeout after 3 retries"),
        ("Time", "2025-11-13T02:05:00Z"),
    ]
    assert [(button["text"]["text"], button["url"]) for button in actions["elements"]] == [
        ("View Logs", "https://airflow.example.com/jobmon/"),
        ("Runbook", "https://wiki.example.com/runbook"),
    ]
    assert message["text"].splitlines() == [
        "🚨 Job Failed: update-installment-statuses",
        "Error: Connection timeout after 3 retries",
        "Time: 2025-11-13T02:05:00Z",
    ]


def test_without_links_there_are_no_buttons():
    blocks = slack_message([an_alert(logs_url=None, runbook_url=None)])["blocks"]
    assert all(block["type"] != "actions" for block in blocks)


def test_a_short_error_appears_once_and_a_long_one_in_full_in_a_block():
    assert json.dumps(slack_message([an_alert()])["blocks"]).count("Connection timeout") == 1
    blocks = slack_message([an_alert(error="Traceback (most recent call last):\n  File\nValueError: no")])["blocks"]
    assert fields_of({"blocks": blocks})["Error"] == "ValueError: no"
    assert any(block.get("text", {}).get("text", "").startswith("```\nTraceback") for block in blocks)


@pytest.mark.parametrize("jobs", [150, 212, 5_000])
def test_a_batch_names_150_jobs_at_least(jobs):
    alerts = [an_alert(job_name=f"a-job-with-a-fairly-long-name-{n}", error="e" * 500) for n in range(jobs)]
    message = slack_message(alerts)
    check_limits(message)
    text = "\n".join(block["text"]["text"] for block in message["blocks"][1:])
    named = len(re.findall(r"a-job-with", text))
    assert named >= 150
    assert (f"and {jobs - named} more" in text) == (named < jobs)
    assert message["blocks"][0]["text"]["text"] == f"🚨 {jobs} jobs failed"


def test_a_batch_of_hostile_names_still_names_150_jobs():
    alerts = [an_alert(job_name=f"{n}" + "<&>" * 100, error="&" * 300) for n in range(1_000)]
    message = slack_message(alerts)
    check_limits(message)
    check_harmless(message)
    assert sum(block["text"]["text"].count("\n") + 1 for block in message["blocks"][1:]) >= 151


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"event": AlertEvent.TEST}, "🚨 TEST ALERT - Job Failed: update-installment-statuses"),
        (
            {"event": AlertEvent.RESOLVED, "severity": Health.OK},
            "✅ Resolved: Job Failed: update-installment-statuses",
        ),
    ],
)
def test_the_fallback_starts_with_the_title(changes, title):
    message = slack_message([an_alert(**changes)])
    assert message["text"].startswith(title)
    assert message["blocks"][0]["text"]["text"] == title
