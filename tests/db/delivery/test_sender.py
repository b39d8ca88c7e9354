"""DeliveryState from the outbox: at least once, in order, in batches, each channel on its own."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_jobmon.channels import Accepted
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import Outbox, newest_due_alert, register_channels
from airflow_jobmon.settings import Settings
from tests.support.database_rows import add_alert
from tests.support.delivery_faults import end_pauses
from tests.support.logged_runs import log_run
from tests.support.recording_channel import Recorder, states

SETTINGS = Settings(channels=("slack", "mail"))


def test_an_alert_that_is_due_is_sent_once_on_each_channel(conn, database):
    slack, mail = Recorder("slack"), Recorder("mail")
    add_alert(conn, "load", "slack", "mail")
    report = deliver_due(database, {"slack": slack, "mail": mail})
    assert deliver_due(database, {"slack": slack, "mail": mail}).sent == {}
    assert slack.lines == mail.lines == ["opened:load"]
    assert report.sent == report.alerts == {"slack": 1, "mail": 1}
    assert newest_due_alert(conn) is None


def test_alerts_stay_pending_if_no_process_serves_their_channel(conn, database):
    add_alert(conn, "load", "pager")
    deliver_due(database, {"slack": Recorder("slack")})
    assert states(conn, "pager") == [("pending", 0)]
    assert newest_due_alert(conn) is not None


@pytest.mark.parametrize(
    ("count", "messages"),
    [pytest.param(5, 5, id="five are sent one by one"), pytest.param(6, 1, id="six at once are a burst")],
)
def test_a_burst_becomes_one_message(conn, database, count, messages):
    slack = Recorder("slack")
    with conn.transaction():
        for n in range(count):
            add_alert(conn, f"job {n}", "slack")
    deliver_due(database, {"slack": slack})
    assert len(slack.sent) == messages
    assert slack.lines == [f"opened:job {n}" for n in range(count)]


def test_a_failing_channel_delays_no_other_and_is_sent_the_same_bytes_and_key_again(conn, database):
    slack = Recorder("slack", lambda n: DeliveryError("timed out") if n < 3 else Accepted())
    mail = Recorder("mail")
    add_alert(conn, "load", "slack", "mail")
    deliver_due(database, {"slack": slack, "mail": mail}, patience=10)
    assert mail.lines == ["opened:load"]
    assert [key for key, _, _ in slack.sent] == [slack.sent[0][0]] * 3
    assert len(set(slack.bodies)) == 1
    assert states(conn, "slack") == [("sent", 3)]


def test_rejected_alerts_are_regrouped_with_newer_ones(conn, database):
    add_alert(conn, "job 0", "slack")
    slack = Recorder("slack", lambda n: DeliveryError("429", rejected=True, retry_after=60) if n == 1 else Accepted())
    deliver_due(database, {"slack": slack}, patience=0)
    with conn.transaction():
        for n in range(1, 9):
            add_alert(conn, f"job {n}", "slack")
    end_pauses(conn, "slack")
    deliver_due(database, {"slack": slack}, patience=0)
    assert [lines for _, lines, _ in slack.sent] == [["opened:job 0"], [f"opened:job {n}" for n in range(9)]]
    assert slack.sent[0][0] != slack.sent[1][0]


def test_the_next_attempt_waits_for_retry_after(conn, database):
    answers = {1: DeliveryError("429", rejected=True, retry_after=120.0)}
    slack = Recorder("slack", lambda n: answers.get(n, Accepted()))
    add_alert(conn, "load", "slack")
    deliver_due(database, {"slack": slack})
    assert 60 < Outbox(conn, "slack", uuid4()).seconds_until_due() <= 120
    add_alert(conn, "other", "slack")
    deliver_due(database, {"slack": slack})
    assert len(slack.sent) == 1


def test_a_refusal_for_good_is_dead_at_once_and_reported_on_the_other_channels(conn, database):
    slack, mail = Recorder("slack", lambda _: PermanentDeliveryError("404 no_service")), Recorder("mail")
    add_alert(conn, "load", "slack", "mail")
    deliver_due(database, {"slack": slack, "mail": mail}, patience=1)
    deliver_due(database, {"slack": slack, "mail": mail}, patience=1)
    assert states(conn, "slack") == [("dead", 1)]
    assert len(slack.sent) == 1
    assert mail.lines == ["opened:load", "opened:load"]
    kinds = conn.execute("SELECT kind, details ->> 'error' FROM airflow_jobmon.alerts ORDER BY id").fetchall()
    assert kinds == [("failed", None), ("undelivered", "404 no_service")]


def test_a_dead_channel_is_reported_once_however_many_alerts_it_refuses(conn, database):
    slack, mail = Recorder("slack", lambda _: PermanentDeliveryError("404 no_service")), Recorder("mail")
    for n in range(4):
        add_alert(conn, f"job {n}", "slack", "mail")
        deliver_due(database, {"slack": slack, "mail": mail}, patience=0)
    deliver_due(database, {"slack": slack, "mail": mail}, patience=0)
    undelivered = conn.execute("SELECT count(*) FROM airflow_jobmon.alerts WHERE kind = 'undelivered'").fetchone()
    assert undelivered == (1,)


def test_two_dead_channels_do_not_report_each_other_again_and_again(conn, database):
    dead = [Recorder(name, lambda _: PermanentDeliveryError("gone")) for name in ("slack", "mail")]
    add_alert(conn, "load", "slack", "mail")
    for _ in range(5):
        deliver_due(database, {channel.name: channel for channel in dead}, patience=0)
    assert sum(len(channel.sent) for channel in dead) <= 4
    assert newest_due_alert(conn) is None


def test_resolved_never_overtakes_its_opened_on_a_channel(conn, database):
    slack = Recorder("slack", lambda n: DeliveryError("timed out", retry_after=60) if n == 1 else Accepted())
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '1 day'")
    log_run(conn, "load", status="failed", started_at=datetime.now(UTC) - timedelta(minutes=9))
    evaluate_events(conn, SETTINGS)
    deliver_due(database, {"slack": slack}, patience=0)
    log_run(conn, "load", status="success")
    evaluate_changed(conn, SETTINGS)
    assert Outbox(conn, "slack", uuid4()).lease(lambda *_: b"") is None
    end_pauses(conn, "slack")
    deliver_due(database, {"slack": slack}, patience=10)
    assert slack.lines == ["opened:load", "opened:load", "resolved:load"]


def test_recipients_refused_for_now_get_the_same_message_again_and_the_others_do_not(conn, database):
    answers = {1: Accepted(retry={"b@x": "450 busy"}, refused={"c@x": "550 unknown"})}
    mail = Recorder("mail", lambda n: answers.get(n, Accepted()))
    add_alert(conn, "load", "mail")
    deliver_due(database, {"mail": mail}, patience=5)
    assert [only for _, _, only in mail.sent] == [None, ("b@x",)]
    assert mail.sent[0][0] == mail.sent[1][0]
    assert states(conn, "mail") == [("sent", 2)]


def test_the_lease_of_a_dead_holder_is_taken_over_with_the_same_bytes(conn, database):
    add_alert(conn, "load", "slack")
    register_channels(conn, ["slack"])
    taken = Outbox(conn, "slack", uuid4()).lease(lambda *_: json.dumps(["kept bytes"]).encode())
    slack = Recorder("slack")
    deliver_due(database, {"slack": slack}, patience=0)
    assert slack.sent == []
    assert Outbox(conn, "slack", uuid4()).seconds_until_due() <= 30
    conn.execute("UPDATE airflow_jobmon.messages SET leased_until = clock_timestamp()")
    deliver_due(database, {"slack": slack}, patience=0)
    assert slack.sent == [(taken.id, ["kept bytes"], None)]


def test_a_process_neither_waits_for_nor_leases_from_a_channel_that_another_holds(conn, database):
    add_alert(conn, "load", "slack")
    register_channels(conn, ["slack"])
    with connect(database) as other, other.transaction():
        other.execute("SELECT FROM airflow_jobmon.channels WHERE name = 'slack' FOR UPDATE")
        other.execute("UPDATE airflow_jobmon.deliveries SET attempts = attempts")
        conn.execute("SET lock_timeout = '500ms'")
        assert Outbox(conn, "slack", uuid4()).lease(lambda *_: b"{}") is None
    assert Outbox(conn, "slack", uuid4()).lease(lambda *_: b"{}") is not None


def test_a_process_that_lost_its_lease_marks_nothing(conn, database):
    add_alert(conn, "load", "slack")
    register_channels(conn, ["slack"])
    late = Outbox(conn, "slack", uuid4())
    taken = late.lease(lambda *_: b"[]")
    conn.execute("UPDATE airflow_jobmon.messages SET leased_by = %s", [uuid4()])
    assert not late.mark_sent(taken)
    assert states(conn, "slack") == [("pending", 1)]


def test_an_alert_that_cannot_be_rendered_is_dead_and_blocks_no_other(conn, database):
    class Picky(Recorder):
        def render(self, alerts, *, key):
            if any(alert.job_name == "bad" for alert in alerts):
                raise ValueError("no such template")
            return super().render(alerts, key=key)

    slack = Picky("slack")
    add_alert(conn, "bad", "slack")
    add_alert(conn, "good", "slack")
    report = deliver_due(database, {"slack": slack})
    assert slack.lines == ["opened:good"]
    assert states(conn, "slack") == [("dead", 0), ("sent", 1)]
    assert "no such template" in report.errors["slack"]


def test_many_processes_at_once_send_everything_once_and_in_order(conn, database):
    slack = Recorder("slack")
    for n in range(40):
        add_alert(conn, f"job {n % 8}", "slack", event=AlertEvent.OPENED if n % 2 == 0 else AlertEvent.RESOLVED)
    threads = [
        threading.Thread(target=deliver_due, args=(database, {"slack": slack}), kwargs={"patience": 2})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slack.lines) == 40
    assert {state for state, _ in states(conn, "slack")} == {"sent"}


def test_a_database_that_becomes_unreachable_raises_an_error_and_loses_nothing(conn, database):
    add_alert(conn, "load", "slack")

    class Cutter(Recorder):
        def send(self, body, *, key, timeout, only=None):
            with connect(database) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE %s",
                    ["%never%"],
                )
            return super().send(body, key=key, timeout=timeout, only=only)

    import psycopg

    with pytest.raises(psycopg.OperationalError):
        deliver_due(database, {"slack": Cutter("slack")})
    with connect(database) as again:
        again.execute("UPDATE airflow_jobmon.messages SET leased_until = clock_timestamp()")
        slack = Recorder("slack")
        deliver_due(database, {"slack": slack})
        assert slack.lines == ["opened:load"]
