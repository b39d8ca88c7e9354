"""The notifications: our own without content, and job_failure in the format that existing listeners expect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import finish_run, log_run
from tests.support.postgres_server import Postgres, temporary_postgres
from tests.support.trigger_events import Conn, arrivals, notified_failures, stored_events


@pytest.fixture
def listener(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        connection.execute("LISTEN airflow_jobmon")
        connection.execute("LISTEN job_failure")
        yield connection


def test_a_failed_run_is_notified_once_on_both_channels(conn, listener):
    run = log_run(conn, "sync", "failed", error_message='Connection "lost"')
    listener.execute("SELECT")
    heard = arrivals(listener)
    assert [channel for channel, _ in heard] == ["airflow_jobmon", "job_failure"]
    assert heard[0][1] == ""
    sent = json.loads(heard[1][1])
    assert list(sent) == ["id", "job_name", "error_message", "alert_time"]
    assert (sent["id"], sent["job_name"], sent["error_message"]) == (run, "sync", 'Connection "lost"')
    assert datetime.fromisoformat(sent["alert_time"]).tzinfo is not None


def test_many_failures_in_one_transaction_wake_us_once_and_notify_each_run(conn, listener):
    with conn.transaction():
        for name in "abc":
            log_run(conn, name, "failed")
    listener.execute("SELECT")
    heard = arrivals(listener)
    assert [channel for channel, _ in heard].count("airflow_jobmon") == 1
    assert [json.loads(payload)["job_name"] for channel, payload in heard if channel == "job_failure"] == [
        "a",
        "b",
        "c",
    ]


def test_a_success_notifies_no_one(conn, listener):
    finish_run(conn, log_run(conn, "sync", "running"))
    listener.execute("SELECT")
    assert arrivals(listener) == []


@pytest.mark.parametrize("off", ["off", "OFF", "false", "0", "no"])
def test_notify_off_silences_the_notifications_and_keeps_the_event(conn, listener, off):
    conn.execute(f"SET airflow_jobmon.notify = '{off}'")
    log_run(conn, "sync", "failed")
    listener.execute("SELECT")
    assert arrivals(listener) == []
    assert len(stored_events(conn)) == 1


def test_an_error_that_is_null_is_null_in_the_payload(conn, listener):
    log_run(conn, "sync", "failed")
    assert notified_failures(listener)[0]["error_message"] is None


anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job_name=anything, error=anything, repeat=st.sampled_from([1, 1, 50, 3000]))
@example(job_name="j", error="\x01", repeat=20_000)
@example(job_name="\x01" * 400, error="\x02" * 7, repeat=3000)
@example(job_name="🚨" * 600, error='🚨\\"', repeat=3000)
@example(job_name="j", error="plain" * 100 + "\x01" * 1000 + "plain" * 1000, repeat=1)
@example(job_name="j", error="\x01" * 1000 + "plain" * 2000, repeat=1)
def test_any_failure_is_sent_as_json_that_fits_with_a_prefix_of_its_error(conn, listener, job_name, error, repeat):
    whole = (error * repeat)[:1_000_000]
    log_run(conn, job_name, "failed", error_message=whole)
    listener.execute("SELECT")
    (payload,) = [payload for channel, payload in arrivals(listener) if channel == "job_failure"]
    sent = json.loads(payload)
    assert len(payload.encode()) < 8000
    assert whole.startswith(sent["error_message"])
    assert job_name.startswith(sent["job_name"])
    # Cut no more than needed: the rest would not have fitted, give or take the longest form of a character.
    assert sent["error_message"] == whole or len(payload.encode()) > 7900


def test_a_huge_name_and_a_huge_id_are_cut_to_keep_some_of_the_error(conn, listener):
    conn.execute("DROP INDEX jobs_log_job_name_started_at_idx")
    log_run(conn, "n" * 1_000_000, "failed", error_message="boom")
    (sent,) = notified_failures(listener)
    assert sent["error_message"] == "boom"
    assert sent["job_name"] == "n" * 300


@pytest.fixture(scope="module")
def small_queue(postgres: Postgres) -> Iterator[Postgres]:
    """A server whose notification queue holds 64 pages: half a megabyte."""
    with psycopg.connect(postgres.conninfo()) as conn:
        if conn.info.server_version < 170000:
            pytest.skip("this Postgres cannot make its notification queue small (max_notify_queue_pages came in 17)")
    with temporary_postgres(max_notify_queue_pages="64") as server:
        with connect(server.conninfo()) as conn:
            migrate(conn, Settings(), create_jobs_log=True)
        yield server


def usage(conn: Conn) -> float:
    row = conn.execute("SELECT pg_notification_queue_usage()").fetchone()
    assert row is not None
    return float(row[0])


def test_a_queue_that_is_not_read_never_fails_a_job(small_queue):
    """A listener in an open transaction holds the queue; a full one would fail the job's COMMIT."""
    with connect(small_queue.conninfo()) as conn, psycopg.connect(small_queue.conninfo()) as stuck:
        stuck.execute("LISTEN job_failure")
        stuck.commit()
        stuck.execute("SELECT 1")
        for _ in range(150):
            log_run(conn, "sync", "failed", error_message="x" * 9000)
        assert 0.5 <= usage(conn) < 0.6
        # The queue can be filled: others may do what we do not.
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT pg_notify('other', n || repeat('x', 7900)) FROM generate_series(1, 100) n")
        log_run(conn, "queue full", "failed")
        row = conn.execute("SELECT count(*) FROM airflow_jobmon.events").fetchone()
        assert row == (151,)
        stuck.rollback()


def test_one_transaction_cannot_fill_the_queue_by_itself(small_queue):
    with connect(small_queue.conninfo()) as conn, connect(small_queue.conninfo()) as listener:
        listener.execute("LISTEN job_failure")
        with conn.transaction():
            conn.execute(
                "INSERT INTO public.jobs_log (job_name, status, error_message)"
                " SELECT 'job ' || n, 'failed', repeat('x', 9000) FROM generate_series(1, 200) n"
            )
        assert 0 < len(notified_failures(listener)) < 20
