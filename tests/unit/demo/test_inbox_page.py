"""The inbox's page in a real browser: what arrived is drawn as people know it, and nothing in it runs."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import subprocess
import urllib.request
from email.message import EmailMessage
from pathlib import Path

import pytest

from demo import slack_webhook
from demo.inbox import Inbox

TAKE_OVER = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
FROM_THE_FRAME = TAKE_OVER.replace("document.", "parent.document.")


@pytest.fixture
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("CI"):
        pytest.fail("there is no chromium; `make extras` installs it")
    if found is None:
        pytest.skip("NOT TESTED: there is no chromium; `make extras` installs it")
    return found


def drawn(browser: str, url: str, profile: Path) -> str:
    """The page's document once its script has had three seconds."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_messages_are_drawn_and_nothing_in_them_runs(browser: str, tmp_path: Path) -> None:
    message = {
        "text": "fallback",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": f"Job Failed: {TAKE_OVER}"}},
            {
                "type": "section",
                "fields": [
                    {
                        "type": "mrkdwn",
                        "text": "*Error*\n&lt;b&gt;timeout&lt;/b&gt; <!channel> `x` <javascript:alert(1)|go>",
                    },
                ],
            },
            {
                "type": "actions",
                "elements": [
                    {
                        "type": "button",
                        "text": {"type": "plain_text", "text": "View Logs"},
                        "url": "https://logs.example/",
                    },
                    {"type": "button", "text": {"type": "plain_text", "text": "Bad"}, "url": "javascript:alert(1)"},
                ],
            },
        ],
    }
    email = EmailMessage()
    email["Subject"], email["From"], email["To"] = f"ALERT {TAKE_OVER}", "a@example.com", "b@example.com"
    email.set_content(TAKE_OVER)
    email.add_alternative(f"<html><head></head><body>{FROM_THE_FRAME}</body></html>", subtype="html")
    with Inbox() as inbox:
        url = f"{inbox.webhook_host}/{slack_webhook.TOKEN}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(message).encode())) as answer:
            assert answer.read() == b"ok"
        with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as smtp:
            smtp.send_message(email)
        page = drawn(browser, f"{inbox.url}/", tmp_path / "profile")

    assert "<title>(2) Inbox" in page
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "Job Failed: &lt;script&gt;" in page
    assert "<b>Error</b>" in page
    assert "&lt;b&gt;timeout&lt;/b&gt;" in page
    assert '<span class="mention">@channel</span>' in page
    assert "<code>x</code>" in page
    assert 'href="https://logs.example/"' in page
    assert 'href="javascript' not in page
    assert 'sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"' in page
    assert "ALERT &lt;script&gt;" in page
