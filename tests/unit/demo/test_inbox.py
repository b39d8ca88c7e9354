"""The demo's inbox responds like Slack and a mail server, and shows hostile text as text."""

from __future__ import annotations

import json
import smtplib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from demo import slack_webhook
from demo.inbox import COARSE, Inbox
from demo.inbox_reader import Expected

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> <!channel>"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as inbox:
        yield inbox


def post(inbox: Inbox, body: bytes, path: str = slack_webhook.TOKEN, kind: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(
        f"{inbox.webhook_host}/{path}", data=body, headers={"Content-Type": kind}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def get(inbox: Inbox, path: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(inbox.url + path, timeout=60) as answer:
        return answer.read().decode(), dict(answer.headers)


def listed(inbox: Inbox, path: str = "/api/received") -> list[dict[str, Any]]:
    return json.loads(get(inbox, path)[0])["received"]


def mail(inbox: Inbox, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=60) as smtp:
        smtp.send_message(message)


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def button(**more: str) -> dict[str, Any]:
    return {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Logs"}, **more}]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"text": "hello"}, (200, "ok"), id="text"),
        pytest.param({"blocks": [header("hello"), section("x")]}, (200, "ok"), id="blocks alone"),
        pytest.param({"text": ""}, (400, "no_text"), id="empty text"),
        pytest.param({}, (400, "no_text"), id="nothing in it"),
        pytest.param([1, 2], (400, "invalid_payload"), id="a list"),
        pytest.param({"blocks": [header("x" * 151)]}, (400, "invalid_blocks"), id="header too long"),
        pytest.param({"blocks": [header("x" * 150)]}, (200, "ok"), id="header just fits"),
        pytest.param({"blocks": [section("x" * 3001)]}, (400, "invalid_blocks"), id="section too long"),
        pytest.param({"blocks": [section("")]}, (400, "invalid_blocks"), id="empty section"),
        pytest.param({"blocks": [{"type": "section"}]}, (400, "invalid_blocks"), id="section without text"),
        pytest.param({"blocks": [section("x")] * 51}, (400, "invalid_blocks"), id="51 blocks"),
        pytest.param({"blocks": [button(url="https://x/" + "y" * 3000)]}, (400, "invalid_blocks"), id="long link"),
        pytest.param({"blocks": [{"type": "surprise"}]}, (400, "invalid_blocks"), id="unknown block"),
        pytest.param({"blocks": ["text"]}, (400, "invalid_blocks"), id="a block that is none"),
    ],
)
def test_the_webhook_answers_in_slacks_words(inbox: Inbox, body: object, expected: tuple[int, str]) -> None:
    assert post(inbox, json.dumps(body).encode()) == expected
    assert len(listed(inbox)) == (1 if expected[0] == 200 else 0)


def test_invalid_json_is_an_invalid_payload(inbox: Inbox) -> None:
    assert post(inbox, b"{not json") == (400, "invalid_payload")
    assert post(inbox, b"\xff\xfe") == (400, "invalid_payload")
    assert post(inbox, b"[" * 100_000) == (400, "invalid_payload")


def test_a_form_with_a_payload_is_accepted_as_by_slack(inbox: Inbox) -> None:
    assert post(inbox, b"payload=%7B%22text%22%3A%22hi%22%7D", kind="application/x-www-form-urlencoded") == (200, "ok")
    assert listed(inbox)[0]["payload"] == {"text": "hi"}


def test_an_unknown_webhook_is_no_service(inbox: Inbox) -> None:
    assert post(inbox, b'{"text": "x"}', path="T1/B1/other") == (404, "no_service")
    assert listed(inbox) == []


def test_header_and_body_arrive_in_one_packet(inbox: Inbox) -> None:
    body = b'{"text": "x"}'
    with socket.create_connection(("127.0.0.1", int(inbox.url.rsplit(":", 1)[1])), timeout=60) as client:
        head = f"POST /services/{slack_webhook.TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        first = client.recv(65536)
    assert first.startswith(b"HTTP/1.1 200")
    assert first.endswith(b"\r\n\r\nok")


def test_an_email_is_listed_with_both_parts_its_headers_and_its_recipients(inbox: Inbox) -> None:
    message = EmailMessage()
    message["Subject"] = "ALERT: Job Failed - café"
    message["From"], message["To"] = "jobs@example.com", "a@example.com, b@example.com"
    message["X-Jobmon"] = "1"
    message.set_content("plain words")
    message.add_alternative("<html><head></head><body><b>bold words</b></body></html>", subtype="html")
    mail(inbox, message)
    [found] = listed(inbox)
    assert found["sink"] == "email"
    assert found["subject"] == "ALERT: Job Failed - café"
    assert found["recipients"] == ["a@example.com", "b@example.com"]
    assert found["text"].strip() == "plain words"
    assert "<b>bold words</b>" in found["html"]
    assert ["X-Jobmon", "1"] in found["headers"]


def test_the_html_of_an_email_cannot_run_or_load_anything(inbox: Inbox) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = HOSTILE, "a@example.com", "b@example.com"
    message.set_content(HOSTILE)
    message.add_alternative(f"<html><head></head><body>{HOSTILE}</body></html>", subtype="html")
    mail(inbox, message)
    page, headers = get(inbox, f"/email/{listed(inbox)[0]['id']}")
    policy = headers["Content-Security-Policy"]
    assert HOSTILE in page
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_the_page_holds_no_message_and_its_script_never_writes_html(inbox: Inbox) -> None:
    post(inbox, json.dumps({"text": HOSTILE}).encode())
    page, headers = get(inbox, "/")
    script, _ = get(inbox, "/inbox.js")
    assert HOSTILE not in page
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    for writer in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "srcdoc", "eval("):
        assert writer not in script


def test_a_broken_email_is_shown_as_far_as_it_can_be_read(inbox: Inbox) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=60) as smtp:
        broken = b"Subject: =?x-nowhere?b?!!?=\r\nFrom: @@<\r\nTo: [\r\n\r\nhi\xff"
        smtp.sendmail("a@example.com", ["b@example.com"], broken)
    [found] = listed(inbox)
    assert found["recipients"] == ["b@example.com"]
    assert "hi" in found["text"]


def test_each_message_shows_its_arrival_and_its_delay(inbox: Inbox) -> None:
    happened = datetime.now(UTC) - timedelta(seconds=7)
    moment = happened.isoformat().replace("+00:00", "Z")
    before = time.time()
    post(inbox, json.dumps({"text": f"expected at 2026-01-01T00:00:00Z\nTime: {moment}"}).encode())
    post(inbox, json.dumps({"text": "Time: 1999-01-01T00:00:00Z"}).encode())
    post(inbox, json.dumps({"text": "Time: 2026-99-99T99:99:99Z"}).encode())
    first, old, impossible = listed(inbox)
    assert before <= first["received"] <= time.time()
    assert 7 <= first["seconds"] == pytest.approx(first["received"] - happened.timestamp(), abs=0.002)
    assert old["seconds"] is None
    assert impossible["seconds"] is None


FAILED, CURED = Expected("a-job", "Job Failed"), Expected("a-job", "Job Failed", resolved=True)


def post_message(inbox: Inbox, title: str, at: datetime) -> None:
    """Post a message as a channel does: its title, and its time to the second."""
    text = f"{title}\nTime: {at.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    assert post(inbox, json.dumps({"text": text}).encode()) == (200, "ok")


def a_second(*, ago: float) -> datetime:
    return (datetime.now(UTC) - timedelta(seconds=ago)).replace(microsecond=0)


def test_a_failure_and_its_recovery_in_one_second_have_their_own_delays(inbox: Inbox) -> None:
    second = a_second(ago=5)
    other = Expected("another-job", "Job Failed")
    moments = {FAILED: 0.1, CURED: 0.5, other: 0.9}
    for what, fraction in moments.items():
        inbox.happened(what, second + timedelta(seconds=fraction))
    for title in ("Job Failed: a-job", "Resolved: Job Failed: a-job", "Job Failed: another-job"):
        post_message(inbox, title, second)
    for found, fraction in zip(listed(inbox), moments.values(), strict=True):
        assert found["seconds"] == pytest.approx(found["received"] - second.timestamp() - fraction, abs=0.002)


def test_a_precise_time_shows_any_delay(inbox: Inbox) -> None:
    happened = datetime.now(UTC)
    post_message(inbox, "Job Failed: a-job", happened)
    assert listed(inbox)[0]["seconds"] is None
    inbox.happened(FAILED, happened)
    [found] = listed(inbox)
    assert 0 <= found["seconds"] == pytest.approx(found["received"] - happened.timestamp(), abs=0.002)


def test_a_short_delay_after_a_time_known_to_the_second_is_not_shown(inbox: Inbox) -> None:
    inbox.happened(FAILED, a_second(ago=0) + timedelta(milliseconds=1))
    recent, old = a_second(ago=0), a_second(ago=COARSE + 1)
    post_message(inbox, "Job Failed: never-announced", recent)
    post_message(inbox, "Job Failed: never-announced", old)
    short, long = listed(inbox)
    assert short["seconds"] is None or short["received"] >= recent.timestamp() + COARSE
    assert long["seconds"] == pytest.approx(long["received"] - old.timestamp(), abs=0.002)


def test_two_equal_messages_in_one_second_count_as_known_to_the_second(inbox: Inbox) -> None:
    second = a_second(ago=0)
    for milliseconds in (1, 2):
        inbox.happened(FAILED, second + timedelta(milliseconds=milliseconds))
    post_message(inbox, "Job Failed: a-job", second)
    [found] = listed(inbox)
    assert found["seconds"] is None or found["received"] >= second.timestamp() + COARSE


def test_the_list_continues_after_a_given_message(inbox: Inbox) -> None:
    for number in range(3):
        post(inbox, json.dumps({"text": str(number)}).encode())
    first = listed(inbox)[0]["id"]
    assert [found["payload"]["text"] for found in listed(inbox, f"/api/received?after={first}")] == ["1", "2"]


def test_a_busy_port_is_an_error_at_once(inbox: Inbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Inbox(http_port=int(inbox.url.rsplit(":", 1)[1]))
