"""Hostile names and errors, followed from a row of the log through every table to the message in each sink."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.text import mask_secrets
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events
from airflow_jobmon.settings import Settings
from tests.support.delivery_faults import ACCEPTED, HTTP_KINDS, end_pauses, http_connection, mail_connection, opened
from tests.support.hostile_alerts import NASTY, texts
from tests.support.http_server import http_server, reply
from tests.support.logged_runs import log_run
from tests.support.smtp_server import smtp_server
from tests.unit.channels.test_email_message import Page
from tests.unit.channels.test_slack_message import check_harmless, check_limits

CHANNELS = (*HTTP_KINDS, "smtp")
PAGE = "https://airflow.example.com/jobmon/?job_name="
RUNBOOK = "https://airflow.example.com/jobmon/runbook#"
SETTINGS = Settings(channels=CHANNELS, base_url="https://airflow.example.com")


def storable(text: str) -> str:
    """The part of the text that a UTF-8 database can store."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


names = texts.map(storable).map(lambda text: text[:400]).filter(bool)
errors = st.none() | texts.map(storable) | texts.map(lambda text: storable(text) * 200)
failures = st.dictionaries(names, errors, min_size=1, max_size=9)


class Sinks:
    """One server of each kind, and the messages it got since the last call."""

    def __init__(self, http, mailbox):
        self.http, self.mailbox = http, mailbox

    def taken(self):
        got = {kind: [request.json for request in server.requests] for kind, server in self.http.items()}
        mails = [mail.message for mail in self.mailbox.mails]
        for server in self.http.values():
            server.requests.clear()
        self.mailbox.mails.clear()
        return got, mails


@pytest.fixture
def sinks():
    running = {kind: http_server(reply(200, ACCEPTED)) for kind in HTTP_KINDS}
    with smtp_server() as mailbox:
        http = {kind: server.__enter__() for kind, server in running.items()}
        yield Sinks(http, mailbox)
        for server in running.values():
            server.__exit__(None, None, None)


@pytest.fixture
def channels(monkeypatch, sinks):
    return opened(
        monkeypatch,
        smtp=mail_connection(sinks.mailbox.port),
        **{kind: http_connection(kind, server.url) for kind, server in sinks.http.items()},
    )


def forget_everything(conn):
    """Empty the tables, and date the installation back."""
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = now() - interval '1 day'")
    conn.execute(
        "TRUNCATE public.jobs_log, airflow_jobmon.events, airflow_jobmon.job_state, airflow_jobmon.occurrences,"
        " airflow_jobmon.deliveries, airflow_jobmon.messages, airflow_jobmon.alerts, airflow_jobmon.incidents"
    )
    for channel in CHANNELS:
        end_pauses(conn, channel)


def check_page(html):
    page = Page(html)
    assert not {"script", "img", "iframe", "form", "link", "object"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    assert all(link.startswith((PAGE, RUNBOOK)) for link in page.links)


def check_what_arrived(sinks, jobs):
    """Each channel was notified of each job, in intact messages in which the job's text is only text."""
    got, mails = sinks.taken()
    assert {len(messages) for messages in got.values()} == {len(mails)}
    for message in (*got["slackwebhook"], *got["slack"]):
        check_limits(message)
        check_harmless(message)
    notified = [alert["job_name"] for message in got["http"] for alert in message["alerts"]]
    assert sorted(notified) == sorted(mask_secrets(job) for job in jobs)
    for message in got["http"]:
        assert all(str(alert["logs_url"] or PAGE).startswith(PAGE) for alert in message["alerts"])
        # Only a link holds the unmasked name: it needs it.
        assert "hunter2" not in re.sub(re.escape(PAGE) + r"[^\s\"]*", "", json.dumps(message))
    for mail in got["resend"]:
        assert mail["to"] == ["oncall@example.com", "backup@example.com"]
        assert mail["subject"].isprintable()
        check_page(mail["html"])
    for mail in mails:
        assert mail.defects == []
        assert len(mail.keys()) == len(set(mail.keys()))
        assert "Bcc" not in mail
        assert [address.addr_spec for address in mail["To"].addresses] == ["oncall@example.com", "backup@example.com"]
        assert str(mail["Subject"]).isprintable()
        check_page(mail.get_body(("html",)).get_content())
    assert [str(mail["Subject"]) for mail in mails] == [mail["subject"] for mail in got["resend"]]


def check_outbox(conn):
    left = conn.execute("SELECT state, last_error FROM airflow_jobmon.deliveries WHERE state <> 'sent'").fetchall()
    assert left == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(failures)
def test_text_from_a_job_is_always_only_text(conn, database, sinks, channels, failed):
    forget_everything(conn)
    for name, error in failed.items():
        log_run(conn, name, status="failed", error_message=error, started_at=datetime.now(UTC) - timedelta(minutes=5))
    drills = {name for name, error in failed.items() if error is not None and error.startswith("TEST ALERT")}
    while evaluate_events(conn, SETTINGS).events:
        pass
    deliver_due(database, channels, patience=0)
    check_outbox(conn)
    check_what_arrived(sinks, failed)

    for name in failed:
        log_run(conn, name, seconds=2)
    evaluate_changed(conn, SETTINGS)
    for channel in CHANNELS:
        end_pauses(conn, channel)
    deliver_due(database, channels, patience=0)
    check_outbox(conn)
    check_what_arrived(sinks, failed.keys() - drills)


def test_every_nasty_text_is_harmless_as_a_name_and_as_an_error_in_one_batch(conn, database, sinks, channels):
    jobs = {storable(text)[:400] for text in NASTY} - {""}
    for name in jobs:
        log_run(conn, name, status="failed", error_message="\n".join(storable(text) for text in NASTY))
    while evaluate_events(conn, SETTINGS).events:
        pass
    deliver_due(database, channels, patience=0)
    check_outbox(conn)
    check_what_arrived(sinks, jobs)
