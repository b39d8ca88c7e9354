"""Emails: their content, and that no text a job can log breaks headers, HTML or size limits."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from airflow_jobmon.channels.email_message import alert_email, alert_email_bytes, read_addresses, read_sender
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.errors import ConfigurationError
from tests.support.hostile_alerts import alerts, an_alert, copied, copies, some_alerts

KEY = uuid.UUID("12345678-1234-4234-8234-123456789abc")
SENDER = "Jobs <alerts@example.com>"
TO = ("oncall@example.com", "backup@example.com")

_TAGS = {
    "html", "head", "meta", "title", "style", "body", "table", "tr", "td", "th", "h1", "p", "pre", "a", "b", "span",
}  # fmt: skip


class Page(HTMLParser):
    """The visible text of an email, and checks for forbidden markup."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.words, self.attributes = [], [], [], set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def parse(body):
    return message_from_bytes(body, policy=policy.default)


def content(mail, kind):
    return mail.get_body((kind,)).get_content().replace("\r\n", "\n").rstrip("\n")


def check_page(html, sent):
    page = Page(html)
    assert set(page.tags) <= _TAGS, set(page.tags) - _TAGS
    assert not [name for name in page.attributes if name.startswith("on")]
    allowed = {url for alert in sent for url in (alert.logs_url, alert.runbook_url)}
    assert all(link in allowed and link.startswith("https://") for link in page.links)
    assert "hunter2" not in re.sub(r'href="[^"]*"', "", html)
    assert len(html.encode()) < 102_000
    return page


def check_mail(body, sent):
    assert body.isascii()
    assert all(len(line) <= 998 for line in body.split(b"\r\n"))
    assert b"\n" not in body.replace(b"\r\n", b"")
    mail = parse(body)
    assert mail.defects == []
    assert " ".join(sorted(mail.keys())) == (
        "Auto-Submitted Content-Type Date From MIME-Version Message-ID Subject To X-Auto-Response-Suppress"
    )
    assert [address.addr_spec for address in mail["To"].addresses] == list(TO)
    assert mail["From"].addresses[0].addr_spec == "alerts@example.com"
    letter = alert_email(sent)
    assert len(letter.subject) <= 200
    assert str(mail["Subject"]) == letter.subject
    assert content(mail, "html") == letter.html.rstrip("\n")
    assert content(mail, "plain") == letter.text.rstrip("\n")
    check_page(letter.html, sent)


@settings(max_examples=60, deadline=None)
@given(alerts)
def test_no_alert_breaks_a_mail(alert):
    check_mail(alert_email_bytes([alert], key=KEY, sender=SENDER, recipients=TO), [alert])


@settings(max_examples=15, deadline=None)
@given(some_alerts, copies)
def test_no_batch_breaks_a_mail(some, times):
    batch = copied(some, times)
    check_mail(alert_email_bytes(batch, key=KEY, sender=SENDER, recipients=TO), batch)


@settings(max_examples=15, deadline=None)
@given(alerts)
def test_rendering_again_gives_the_same_bytes(alert):
    first = alert_email_bytes([alert], key=KEY, sender=SENDER, recipients=TO)
    assert alert_email_bytes([alert], key=KEY, sender=SENDER, recipients=TO) == first


def test_a_failure_looks_as_in_the_procedures():
    mail = parse(alert_email_bytes([an_alert()], key=KEY, sender=SENDER, recipients=TO))
    assert mail["Subject"] == "ALERT: Job Failed - update-installment-statuses"
    assert mail["Message-ID"] == f"<{KEY}@example.com>"
    assert mail["Date"].datetime == datetime(2025, 11, 13, 2, 5, tzinfo=UTC)
    page = Page(mail.get_body(("html",)).get_content())
    for part in (
        "Connection timeout after 3 retries",
        "update-installment-statuses",
        "2025-11-13T02:05:00Z",
        "5 min 0 s",
    ):
        assert part in page.text
    assert page.links == ["https://airflow.example.com/jobmon/", "https://wiki.example.com/runbook"]


def test_a_drill_says_so_in_subject_and_title():
    letter = alert_email([an_alert(event=AlertEvent.TEST)])
    assert letter.subject == "TEST ALERT: Job Failed - update-installment-statuses"
    assert "TEST ALERT - Job Failed" in Page(letter.html).text


def test_nothing_is_loaded_from_elsewhere():
    html = alert_email([an_alert()]).html
    assert not re.search(r"(?i)<(img|link|script|iframe)|url\(|@import", html)


@pytest.mark.parametrize("jobs", [150, 212, 5_000])
def test_a_batch_names_150_jobs_at_least_and_stays_below_what_gmail_shows(jobs):
    sent = [
        an_alert(job_name=f"job-{n}-" + "<é>" * 40, error="<&>" * 200, logs_url=f"https://x.example/{n}?a=1&b=2")
        for n in range(jobs)
    ]
    letter = alert_email(sent)
    page = check_page(letter.html, sent)
    named = page.tags.count("tr") - 3
    assert named >= 150
    assert (f"and {jobs - named} more" in page.text) == (named < jobs)
    assert letter.subject == f"ALERT: {jobs} jobs failed"


def test_the_error_keeps_its_lines():
    html = alert_email([an_alert(error="line 1\n    line 2")]).html
    assert "line 1\n    line 2</pre>" in html


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a@example.com", ("a@example.com",), id="one"),
        pytest.param(
            "a@example.com, b@example.com;c@example.com", ("a@example.com", "b@example.com", "c@example.com"), id="text"
        ),
        pytest.param(["a@example.com", " b@example.com "], ("a@example.com", "b@example.com"), id="a list"),
        pytest.param("Ann <a@example.com>, a@example.com,", ("Ann <a@example.com>", "a@example.com"), id="with a name"),
        pytest.param("a@example.com,a@example.com", ("a@example.com",), id="twice the same"),
    ],
)
def test_recipients_are_read_from_text_and_lists(value, expected):
    assert read_addresses(value, where="connection 'mail'", field="to") == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        [],
        " , ;",
        7,
        {"a": 1},
        [None],
        "nobody",
        "a@",
        "@b",
        "a@example.com\r\nBcc: x@example.com",
        "é@example.com",
    ],
)
def test_an_invalid_recipient_is_refused_naming_connection_and_field(value):
    with pytest.raises(ConfigurationError, match=r"connection 'mail'.*'to'"):
        read_addresses(value, where="connection 'mail'", field="to")


def test_a_sender_is_required():
    with pytest.raises(ConfigurationError, match=r"connection 'mail' has no 'from_email'"):
        read_sender(None, where="connection 'mail'", field="from_email")
