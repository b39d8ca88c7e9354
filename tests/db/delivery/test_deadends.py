"""Alerts that do not arrive, or not on every channel, and the alerts queued behind them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_jobmon.channels import Accepted
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events
from airflow_jobmon.postgres.alert_log import retry_dead
from airflow_jobmon.postgres.outbox import Outbox, newest_due_alert, register_channels
from airflow_jobmon.settings import Settings
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import end_pauses
from tests.support.logged_runs import log_run
from tests.support.recording_channel import Recorder, states

SETTINGS = Settings(channels=("slack", "mail"))
PARTLY = Accepted(retry={"b@x": "450 busy"})


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '1 day'")


def fail(conn) -> None:
    log_run(conn, "load", status="failed", started_at=datetime.now(UTC) - timedelta(minutes=9))
    evaluate_events(conn, SETTINGS)


def recover(conn) -> None:
    log_run(conn, "load")
    evaluate_changed(conn, SETTINGS)


def deliver(database, *channels: Recorder, patience: float = 0):
    return deliver_due(database, {channel.name: channel for channel in channels}, patience=patience)


def test_a_message_that_one_recipient_refuses_for_good_and_others_have_is_not_dead(conn, database):
    answers = {1: PARTLY, 2: PermanentDeliveryError("550 no such user")}
    mail = Recorder("mail", lambda n: answers.get(n, Accepted()))
    fail(conn)
    deliver(database, mail, patience=5)
    assert states(conn, "mail") == [("sent", 2)]
    recover(conn)
    deliver(database, mail)
    assert mail.lines[-1] == "resolved:load"


def test_a_recipient_who_is_refused_for_now_delays_no_other_alert(conn, database):
    mail = Recorder("mail", lambda n: PARTLY if n == 1 else Accepted())
    fail(conn)
    deliver(database, mail)
    recover(conn)
    deliver(database, mail)
    assert mail.lines == ["opened:load", "resolved:load"]


@pytest.mark.parametrize("way", ["waiting for its retry", "leased by a dead process"])
def test_an_alert_behind_one_that_cannot_be_sent_yet_wakes_no_process_and_causes_no_busy_loop(conn, database, way):
    fail(conn)
    if way == "waiting for its retry":
        deliver(database, Recorder("slack", lambda _: DeliveryError("timed out", retry_after=60)))
        conn.execute("UPDATE airflow_jobmon.channels SET paused_until = NULL")
    else:
        register_channels(conn, ["slack"])
        Outbox(conn, "slack", uuid4()).lease(lambda *_: b"[]")
    conn.execute("DELETE FROM airflow_jobmon.deliveries WHERE channel = 'mail'")
    recover(conn)
    assert newest_due_alert(conn) is None
    assert Outbox(conn, "slack", uuid4()).seconds_until_due() > 10
    slack = Recorder("slack")
    deliver(database, slack, patience=3)
    assert slack.lines == [], "it waits until the first alert can be sent"


def test_a_channel_that_never_received_the_opened_alert_does_not_receive_the_resolution(conn, database):
    slack, mail = Recorder("slack", lambda _: PermanentDeliveryError("404")), Recorder("mail")
    fail(conn)
    recover(conn)
    deliver(database, slack, mail)
    assert slack.lines == ["opened:load"]
    assert [state for state, _ in states(conn, "slack")] == ["dead", "silenced"]
    assert mail.lines[:2] == ["opened:load", "resolved:load"]


@pytest.mark.parametrize("order", ["resolved while it was dead", "resolved before it died"])
def test_an_alert_retried_after_its_incident_was_resolved_is_followed_by_the_resolution(conn, database, order):
    mended = []
    slack = Recorder("slack", lambda _: Accepted() if mended else PermanentDeliveryError("404"))
    fail(conn)
    if order == "resolved before it died":
        recover(conn)
        deliver(database, slack)
    else:
        deliver(database, slack)
        recover(conn)
    mended.append(True)
    assert retry_dead(conn, job=None) == 1
    deliver(database, slack)
    assert slack.lines == ["opened:load", "opened:load", "resolved:load"]


def test_an_alert_that_cannot_be_rendered_does_not_stop_its_batch_and_other_channels_are_notified(conn, database):
    class Picky(Recorder):
        def render(self, alerts, *, key):
            if any(alert.job_name == "job 3" for alert in alerts):
                raise ValueError("no such template")
            return super().render(alerts, key=key)

    slack, mail = Picky("slack"), Recorder("mail")
    with conn.transaction():
        for n in range(9):
            add_alert(conn, f"job {n}", "slack")
    deliver(database, slack, mail)
    deliver(database, mail)
    assert sorted(slack.lines) == [f"opened:job {n}" for n in range(9) if n != 3]
    assert mail.lines == ["opened:job 3"]


def test_a_dead_channel_is_reported_on_channels_that_another_process_delivers_on(conn, database):
    mail = Recorder("mail")
    add_alert(conn, "other", "mail")
    deliver(database, mail)
    add_alert(conn, "load", "slack")
    deliver(database, Recorder("slack", lambda _: PermanentDeliveryError("404")))
    deliver(database, mail)
    assert mail.lines == ["opened:other", "opened:load"]


def test_a_dead_channel_without_other_channels_is_reported_once_there_is_one(conn, database):
    slack, mail = Recorder("slack", lambda _: PermanentDeliveryError("404")), Recorder("mail")
    add_alert(conn, "load", "slack")
    deliver(database, slack)
    add_alert(conn, "load", "slack")
    deliver(database, slack, mail)
    deliver(database, mail)
    assert len(mail.lines) == 1


def test_a_repeated_alert_waits_for_its_opened_alert(conn, database):
    slack = Recorder("slack", lambda n: DeliveryError("timed out", retry_after=60) if n == 1 else Accepted())
    add_alert(conn, "load", "slack")
    deliver(database, slack)
    add_alert(conn, "load", "slack", event=AlertEvent.REPEATED)
    end_pauses(conn, "slack")
    deliver(database, slack, patience=5)
    assert slack.lines == ["opened:load", "opened:load", "repeated:load"]
