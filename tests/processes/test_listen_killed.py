"""kill -9 of `airflow jobmon listen` at any moment loses nothing and costs at most one repeat per channel."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import uuid4

import psycopg
import pytest

from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.outbox import Outbox, register_channels
from tests.processes.conftest import Sinks, StartListener
from tests.support.logged_runs import log_run
from tests.support.wait_until import wait_until

KILLS = 24


def unfinished(conn) -> int:
    return int(conn.execute("SELECT count(*) FROM airflow_jobmon.deliveries WHERE state <> 'sent'").fetchone()[0])


def fail(conn, job_name: str) -> None:
    log_run(conn, job_name, status="failed", error_message=f"exit code 1 of {job_name}")


def test_a_listener_killed_again_and_again_loses_nothing_and_repeats_at_most_one_message_per_kill(
    conn, sinks: Sinks, start_listener: StartListener, expire_leases, record_property
):
    chance = random.Random(20251113)
    numbers = count(1)
    for sink in sinks.all.values():
        sink.delay = 0.02
    kills_while_sending = 0
    for kill in range(KILLS):
        listener = start_listener()
        fail(conn, f"load-{next(numbers)}")  # while it starts
        before = sum(len(sink.arrivals) for sink in sinks.all.values())
        wait_until(
            lambda before=before: sum(len(sink.arrivals) for sink in sinks.all.values()) > before,
            f"anything after start {kill}; it said:\n{listener.said}",
        )
        for _ in range(chance.choice([0, 1, 3, 9])):
            fail(conn, f"load-{next(numbers)}")
        time.sleep(chance.uniform(0, 0.12))
        listener.kill()
        kills_while_sending += unfinished(conn) > 0
        expire_leases()
    start_listener()
    expected = {f"load-{number}" for number in range(1, next(numbers))}
    for sink in sinks.all.values():
        sink.until_received(expected)
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")

    repeats = {name: sink.repeats() for name, sink in sinks.all.items()}
    record_property("repeats", {"kills": KILLS, "while sending": kills_while_sending, **repeats})
    assert all(sink.jobs == expected for sink in sinks.all.values())
    assert all(found <= KILLS for found in repeats.values())
    assert kills_while_sending > KILLS / 4, "too few kills happened while sending for this test to mean anything"


def test_a_listener_killed_before_it_sees_the_failure(conn, sinks: Sinks, start_listener: StartListener):
    listener = start_listener()
    listener.until_it_watches()
    listener.pause()
    fail(conn, "load-1")
    listener.kill()
    start_listener()
    for sink in sinks.all.values():
        sink.until_received({"load-1"})
        assert sink.repeats() == 0


@pytest.mark.parametrize("channel", ["hook", "slack", "mail"])
def test_a_listener_killed_while_it_waits_for_the_response(
    conn, sinks: Sinks, start_listener: StartListener, expire_leases, channel
):
    sink = sinks.all[channel]
    sink.gate.clear()
    listener = start_listener()
    fail(conn, "load-1")
    sink.until(1)
    listener.kill()
    sink.gate.set()
    expire_leases()
    start_listener()
    sink.until(2)
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")
    assert sink.repeats() == 1
    attempts = conn.execute("SELECT attempts FROM airflow_jobmon.deliveries WHERE channel = %s", [channel])
    assert attempts.fetchall() == [(2,)]


def test_a_listener_killed_after_the_response_and_before_it_marks_the_message(
    conn, sinks: Sinks, start_listener: StartListener, expire_leases
):
    for sink in sinks.all.values():
        sink.gate.clear()
    listener = start_listener()
    fail(conn, "load-1")
    for sink in sinks.all.values():
        sink.until(1)
    listener.pause()
    for sink in sinks.all.values():
        sink.gate.set()  # the response is in the kernel's buffer, and the listener never reads it
    time.sleep(0.1)
    listener.kill()
    assert unfinished(conn) == 3
    expire_leases()
    start_listener()
    for sink in sinks.all.values():
        sink.until(2)
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")
    assert [sink.repeats() for sink in sinks.all.values()] == [1, 1, 1]


def test_a_listener_killed_after_it_marked_the_message(
    conn, sinks: Sinks, start_listener: StartListener, expire_leases
):
    listener = start_listener()
    fail(conn, "load-1")
    for sink in sinks.all.values():
        sink.until(1)
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")
    listener.kill()
    start_listener().until_it_watches()
    fail(conn, "load-2")
    for sink in sinks.all.values():
        sink.until_received({"load-1", "load-2"})
        assert sink.repeats() == 0


def test_another_listener_sends_what_a_killed_one_and_a_vanished_machine_held_within_30_seconds(
    conn, database, sinks: Sinks, start_listener: StartListener
):
    others = {name: sink for name, sink in sinks.all.items() if name != "slack"}
    for sink in others.values():
        sink.gate.clear()
    with vanished_while_it_leased(database, "slack"):
        fail(conn, "load-1")
        victim = start_listener()
        for sink in others.values():
            sink.until(1)
        victim.kill()
        lasts, until = conn.execute(
            "SELECT max(leased_until) - clock_timestamp(), min(leased_until) FROM airflow_jobmon.messages"
            " WHERE state = 'open'"
        ).fetchone()
        assert lasts <= timedelta(seconds=20), "the lease is short enough to be taken over soon"
        for sink in others.values():
            sink.gate.set()
        start_listener()
        fail(conn, "load-2")
        for sink in others.values():
            sink.until_received({"load-2"})  # the lease of one message delays no other job's
            assert len(sink.arrivals) == 2
        for sink in others.values():
            sink.until(3)
        sinks.slack.until_received(
            {"load-1", "load-2"}
        )  # otherwise the vanished session would delay both for five minutes
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")
    assert {name: sink.repeats() for name, sink in sinks.all.items()} == {"hook": 1, "mail": 1, "slack": 0}
    again = "SELECT min(sent_at) FROM airflow_jobmon.messages WHERE attempts = 2"
    assert conn.execute(again).fetchone()[0] >= until, "a message was sent again before its lease ended"


@contextmanager
def vanished_while_it_leased(conninfo: str, channel: str) -> Iterator[None]:
    """A process whose machine lost power in a transaction: its session stays, with its locks."""
    leasing, over = threading.Event(), threading.Event()

    def stay(*_: object) -> bytes:
        leasing.set()
        over.wait(300)
        return b""

    def lease() -> None:
        with connect(conninfo) as session, suppress(psycopg.Error):
            alert = Alert(AlertEvent.OPENED, "failed", "load-0", Health.CRITICAL, datetime.now(UTC), "it failed")
            IncidentRepository(session).insert_alerts([AddressedAlert(alert, None, [channel])])
            register_channels(session, [channel])
            Outbox(session, channel, uuid4()).lease(stay)

    thread = threading.Thread(target=lease)
    thread.start()
    try:
        assert leasing.wait(60)
        yield
    finally:
        over.set()
        thread.join()


def test_a_listener_frozen_past_its_lease_does_not_disturb_the_one_that_took_over(
    conn, sinks: Sinks, start_listener: StartListener, expire_leases
):
    sinks.hook.gate.clear()
    frozen = start_listener()
    fail(conn, "load-1")
    sinks.hook.until(1)
    wait_until(lambda: unfinished(conn) == 1, "the other channels to be done")
    frozen.pause()
    expire_leases()
    sinks.hook.gate.set()
    start_listener()
    sinks.hook.until(2)
    wait_until(lambda: unfinished(conn) == 0, "every delivery to be marked as sent")
    frozen.resume()
    frozen.until_it_says("its lease had been taken over")
    assert sinks.hook.repeats() == 1
    assert unfinished(conn) == 0


def test_a_listener_that_is_stopped_finishes_the_messages_it_is_sending(
    conn, sinks: Sinks, start_listener: StartListener
):
    for sink in sinks.all.values():
        sink.delay = 1.0
    listener = start_listener()
    fail(conn, "load-1")
    for sink in sinks.all.values():
        sink.until(1)
    listener.terminate()
    listener.until_it_ended()
    assert unfinished(conn) == 0
    assert listener.said.rstrip().endswith("stopped")
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (0,)
