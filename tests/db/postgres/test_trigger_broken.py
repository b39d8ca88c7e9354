"""Whatever state our own objects are in, the job neither fails nor waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from airflow_jobmon.postgres.connect import connect
from tests.support.logged_runs import finish_run, log_run
from tests.support.trigger_events import Conn, notified_failures, stored_events

BROKEN = [
    pytest.param("DROP TABLE airflow_jobmon.events", id="events dropped"),
    pytest.param(
        "DROP TABLE airflow_jobmon.events; CREATE TABLE airflow_jobmon.events (other int)",
        id="events of another shape",
    ),
    pytest.param(
        "DROP TABLE airflow_jobmon.events; CREATE VIEW airflow_jobmon.events AS SELECT 1 AS id",
        id="events is a view",
    ),
    pytest.param("ALTER TABLE airflow_jobmon.events ADD CHECK (false) NOT VALID", id="events refuse every row"),
    pytest.param("ALTER SCHEMA airflow_jobmon RENAME TO elsewhere", id="schema renamed"),
    pytest.param("DROP FUNCTION airflow_jobmon.job_failure_payload", id="payload function dropped"),
    pytest.param(
        "CREATE OR REPLACE FUNCTION airflow_jobmon.job_failure_payload("
        "run_key json, run_job text, run_error text, alert_time timestamptz)"
        " RETURNS text LANGUAGE sql AS $$ SELECT 1 / 0 || '' $$",
        id="payload function fails",
    ),
    pytest.param(
        "CREATE ROLE unprivileged; ALTER FUNCTION airflow_jobmon.note_failed_run() OWNER TO unprivileged;"
        " REVOKE ALL ON SCHEMA airflow_jobmon FROM PUBLIC",
        id="function's owner has no rights",
    ),
    pytest.param(
        "REVOKE ALL ON FUNCTION airflow_jobmon.note_failed_run() FROM PUBLIC, CURRENT_USER",
        id="function's rights revoked",
    ),
    pytest.param("ALTER TABLE public.jobs_log RENAME error_message TO last_error", id="a column of jobs_log renamed"),
    pytest.param("DROP SCHEMA airflow_jobmon CASCADE", id="schema dropped"),
]  # fmt: skip


@contextlib.contextmanager
def undone(conn: Conn) -> Iterator[None]:
    """Roles outlive a test's database."""
    try:
        yield
    finally:
        conn.execute("REASSIGN OWNED BY unprivileged TO CURRENT_USER; DROP ROLE unprivileged")


@pytest.mark.parametrize("damage", BROKEN)
def test_a_job_can_log_its_failure_while_our_objects_are_broken(conn, damage):
    run = log_run(conn, "sync", "running")
    with undone(conn) if "CREATE ROLE" in damage else contextlib.nullcontext():
        conn.execute(damage)
        with conn.transaction():
            done = conn.execute("UPDATE public.jobs_log SET status = 'failed' WHERE id::text = %s", (run,))
            assert done.statusmessage == "UPDATE 1"
            done = conn.execute(
                "INSERT INTO public.jobs_log (job_name, status) VALUES ('a', 'failed'), ('b', 'failed')"
            )
            assert done.statusmessage == "INSERT 0 2"
        row = conn.execute("SELECT count(*) FROM public.jobs_log WHERE status = 'failed'").fetchone()
        assert row == (3,)


def test_a_run_that_cannot_be_stored_does_not_hide_the_next(conn):
    conn.execute("ALTER TABLE airflow_jobmon.events ADD CHECK (job_name <> 'bad')")
    with conn.transaction():
        for name in ("before", "bad", "after"):
            log_run(conn, name, "failed")
    assert [name for name, _ in stored_events(conn)] == ["before", "after"]


def test_listeners_are_notified_even_when_the_event_cannot_be_stored(conn, database):
    with connect(database) as listener:
        listener.execute("LISTEN job_failure")
        conn.execute("DROP TABLE airflow_jobmon.events")
        log_run(conn, "sync", "failed")
        assert [payload["job_name"] for payload in notified_failures(listener)] == ["sync"]


LOCKS = [
    pytest.param("LOCK TABLE airflow_jobmon.events IN ACCESS EXCLUSIVE MODE", id="events access exclusive"),
    pytest.param("LOCK TABLE airflow_jobmon.events IN SHARE MODE", id="events share"),
    pytest.param("ALTER TABLE airflow_jobmon.events ADD COLUMN more text", id="events altered"),
    pytest.param("DROP TABLE airflow_jobmon.events", id="events dropped, not yet committed"),
    pytest.param("REINDEX INDEX airflow_jobmon.events_pkey", id="index rebuilt"),
    pytest.param("TRUNCATE airflow_jobmon.events", id="events truncated"),
    pytest.param(
        "CREATE OR REPLACE FUNCTION airflow_jobmon.job_failure_payload(run_key json, run_job text, run_error text,"
        " alert_time timestamptz) RETURNS text LANGUAGE sql RETURN ''",
        id="function replaced",
    ),
]  # fmt: skip


@contextlib.contextmanager
def lock_waits(conn: Conn) -> Iterator[list[str]]:
    """The server's log of every wait for a lock that lasts longer than a millisecond."""
    waits: list[str] = []
    conn.execute("SET deadlock_timeout = '1ms'; SET log_lock_waits = on; SET client_min_messages = log")

    def record(notice: psycopg.errors.Diagnostic) -> None:
        if "waiting for" in (notice.message_primary or ""):
            waits.append(str(notice.message_primary))

    conn.add_notice_handler(record)
    yield waits
    conn.remove_notice_handler(record)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_failing_row_waits_at_all(conn, database, lock):
    """By the server's log of lock waits, not by the clock."""
    with psycopg.connect(database) as blocker, lock_waits(conn) as waits:
        blocker.execute(lock)
        for _ in range(3):
            finish_run(conn, log_run(conn, "sync", "running"), "failed")
        assert waits == []
        blocker.rollback()


@pytest.mark.parametrize("lock", LOCKS)
def test_thirty_failing_rows_do_not_wait_for_a_lock_on_our_table(conn, database, lock):
    with psycopg.connect(database) as blocker, lock_waits(conn) as waits:
        blocker.execute(lock)
        with conn.transaction():
            for number in range(30):
                log_run(conn, f"job {number}", "failed")
        assert waits == []
        blocker.rollback()
    row = conn.execute("SELECT count(*) FROM public.jobs_log").fetchone()
    assert row == (30,)
    log_run(conn, "the next transaction", "failed")
    assert "the next transaction" in [name for name, _ in stored_events(conn)]


def test_these_tests_detect_a_wait_for_a_lock(conn, database):
    with psycopg.connect(database) as blocker, lock_waits(conn) as waits:
        blocker.execute("LOCK TABLE airflow_jobmon.events")
        with pytest.raises(psycopg.errors.LockNotAvailable), conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '50ms'; SELECT * FROM airflow_jobmon.events")
        assert waits


def test_the_locked_table_costs_only_that_transaction_its_events(conn, database):
    with psycopg.connect(database) as blocker:
        blocker.execute("LOCK TABLE airflow_jobmon.events IN ACCESS EXCLUSIVE MODE")
        with conn.transaction():
            log_run(conn, "locked out", "failed")
            blocker.rollback()
            log_run(conn, "same transaction", "failed")
        log_run(conn, "next transaction", "failed")
    assert [name for name, _ in stored_events(conn)] == ["next transaction"]


def test_a_failing_job_does_not_block_sessions_that_claim_events(conn, database):
    log_run(conn, "earlier", "failed")
    with psycopg.connect(database) as job:
        log_run(job, "uncommitted", "failed")
        conn.execute("SET lock_timeout = '1s'")
        claimed = conn.execute(
            "DELETE FROM airflow_jobmon.events WHERE id IN"
            " (SELECT id FROM airflow_jobmon.events FOR UPDATE SKIP LOCKED) RETURNING job_name"
        ).fetchall()
        assert claimed == [("earlier",)]
        job.commit()
    assert [name for name, _ in stored_events(conn)] == ["uncommitted"]


def test_a_row_without_a_name_or_an_id_is_not_a_run_and_is_skipped(conn):
    conn.execute("ALTER TABLE public.jobs_log ALTER job_name DROP NOT NULL, ALTER started_at DROP NOT NULL")
    with conn.transaction():
        conn.execute("INSERT INTO public.jobs_log (job_name, status) VALUES (NULL, 'failed'), ('named', 'failed')")
    assert [name for name, _ in stored_events(conn)] == ["named"]
    conn.execute("INSERT INTO public.jobs_log (job_name, started_at, status) VALUES ('timeless', NULL, 'failed')")
    assert [name for name, _ in stored_events(conn)] == ["named", "timeless"]


HOSTILE_SETTINGS = [
    pytest.param("SET plpgsql.extra_errors = 'all'", id="every plpgsql check is an error"),
    pytest.param("SET plpgsql.variable_conflict = 'error'", id="ambiguous names are errors"),
    pytest.param("SET check_function_bodies = on; SET jit = on; SET jit_above_cost = 0", id="jit"),
    pytest.param("SET airflow_jobmon.tripped = 'x'; SET airflow_jobmon.told = 'x'", id="our own settings"),
    pytest.param("SET bytea_output = 'escape'; SET datestyle = 'German'", id="formats"),
    pytest.param("SET TimeZone = 'Pacific/Kiritimati'", id="far time zone"),
    pytest.param("SET standard_conforming_strings = off; SET escape_string_warning = on", id="old strings"),
    pytest.param("SET default_transaction_isolation = 'serializable'", id="serializable"),
    pytest.param("SET client_min_messages = 'debug5'", id="noisy"),
]  # fmt: skip


@pytest.mark.parametrize("setting", HOSTILE_SETTINGS)
def test_the_jobs_own_settings_do_not_matter(conn, database, setting):
    with psycopg.connect(database, autocommit=True) as job:
        job.execute(setting)
        finish_run(job, log_run(job, "sync", "running"), "failed", error_message="boom")
    assert stored_events(conn) == [("sync", "boom")]


def prepared(conn: Conn, work: Callable[[], object]) -> None:
    conn.execute("BEGIN")
    work()
    conn.execute("PREPARE TRANSACTION 'job'")


def test_a_prepared_transaction_stores_its_failures_when_notify_is_off(conn):
    conn.execute("SET airflow_jobmon.notify = off")
    prepared(conn, lambda: log_run(conn, "sync", "failed"))
    try:
        assert stored_events(conn) == []
    finally:
        conn.execute("COMMIT PREPARED 'job'")
    assert [name for name, _ in stored_events(conn)] == ["sync"]


def test_a_prepared_transaction_that_succeeds_needs_no_setting(conn):
    prepared(conn, lambda: finish_run(conn, log_run(conn, "sync", "running")))
    conn.execute("COMMIT PREPARED 'job'")
    assert stored_events(conn) == []
