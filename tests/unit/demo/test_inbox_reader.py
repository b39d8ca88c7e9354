"""The demo recognises the alert that it waits for, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_jobmon.channels.slack_message import slack_message
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.rendering.messages import subject
from airflow_jobmon.core.times import parse_moment
from demo.inbox_reader import Expected, title_of
from demo.screen import Screen

JOB = "update-installment-statuses"
EXPECTED = Expected(JOB, "Job Failed")


def arrived(job: str = JOB, kind: str = "failed", event: AlertEvent = AlertEvent.OPENED) -> list[dict[str, Any]]:
    severity = Health.OK if event is AlertEvent.RESOLVED else Health.CRITICAL
    alert = Alert(event, kind, job, severity, parse_moment("2026-11-23T02:05:00Z"), "it failed", error="timeout")
    return [
        {"sink": "slack", "payload": slack_message([alert])},
        {"sink": "email", "subject": subject([alert], 200)},
    ]


@pytest.mark.parametrize("sink", [0, 1], ids=["slack", "email"])
@pytest.mark.parametrize(
    ("message", "met"),
    [
        pytest.param({}, True, id="the alert"),
        pytest.param({"job": "nightly-backup"}, False, id="another job"),
        pytest.param({"kind": "missed"}, False, id="another kind"),
        pytest.param({"event": AlertEvent.RESOLVED}, False, id="its resolution"),
    ],
)
def test_only_the_alert_itself_matches_the_expectation(message: dict[str, Any], met: bool, sink: int) -> None:
    assert EXPECTED.is_met_by(arrived(**message)[sink]) is met


@pytest.mark.parametrize("sink", [0, 1], ids=["slack", "email"])
def test_a_resolution_is_distinguished_from_the_alert(sink: int) -> None:
    resolved = Expected(JOB, "Job Failed", resolved=True)
    assert resolved.is_met_by(arrived(event=AlertEvent.RESOLVED)[sink])
    assert not resolved.is_met_by(arrived()[sink])


def test_a_message_without_text_has_an_empty_title() -> None:
    assert title_of({"sink": "slack", "payload": {"blocks": [{"type": "divider"}]}}) == ""


def test_the_table_keeps_its_columns_beside_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(("what", "after"), [["🚨 failed", "1 s"], ["✅ resolved", "2 s"]], good=[True, True])
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first == "🚨 failed    1 s"
    assert second == "✅ resolved  2 s"
