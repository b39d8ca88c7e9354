"""The trigger stores exactly the runs that fail, in the transaction of the job, without side effects on the job."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from airflow_jobmon.postgres.connect import connect
from tests.support.logged_runs import finish_run, log_run
from tests.support.trigger_events import Conn, stored_events

INSERT = "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, error_message) VALUES "


@pytest.fixture
def job(database: str, conn: Conn) -> Iterator[psycopg.Connection]:
    """A job's connection: its role may write the log and has no permission on our objects."""
    conn.execute("DO $$ BEGIN CREATE ROLE job_writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON public.jobs_log TO job_writer")
    with psycopg.connect(database.replace("user=postgres", "user=job_writer")) as writer:
        yield writer


def test_a_run_inserted_as_failed_is_stored_with_all_its_values(conn):
    run = log_run(conn, "sync", "failed", error_message="Connection timeout after 3 retries")
    (event,) = conn.execute(
        "SELECT e.run_id, e.job_name, e.started_at, e.completed_at, e.error_message, r.started_at, r.completed_at"
        " FROM airflow_jobmon.events e JOIN airflow_jobmon.runs r ON r.id = e.run_id"
    ).fetchall()
    assert event[:2] == (run, "sync")
    assert event[2:4] == event[5:]
    assert event[4] == "Connection timeout after 3 retries"


def test_a_run_that_turns_failed_is_stored_once_however_often_it_is_updated(conn):
    run = log_run(conn, "sync", "running")
    assert stored_events(conn) == []
    for _ in range(3):
        finish_run(conn, run, "failed", error_message="boom")
    assert stored_events(conn) == [("sync", "boom")]


def test_a_run_that_fails_again_after_it_ran_again_is_stored_again(conn):
    run = log_run(conn, "sync", "failed")
    finish_run(conn, run, "running")
    finish_run(conn, run, "failed")
    assert len(stored_events(conn)) == 2


@pytest.mark.parametrize("status", ["running", "success", "cancelled"])
def test_no_other_status_is_stored(conn, status):
    finish_run(conn, log_run(conn, "sync", "running"), status)
    log_run(conn, "sync", status)
    assert stored_events(conn) == []


@pytest.mark.parametrize(
    ("started", "completed", "expected"),
    [
        pytest.param("25 hours", "23 hours 59 minutes", 1, id="ended within a day"),
        pytest.param("25 hours", "24 hours 1 minute", 0, id="ended over a day ago"),
        pytest.param("23 hours", None, 1, id="started within a day, no end"),
        pytest.param("25 hours", None, 0, id="started over a day ago, no end"),
    ],
)
def test_old_failures_that_are_loaded_in_bulk_are_not_stored(conn, started, completed, expected):
    conn.execute(f"{INSERT} ('sync', now() - %s::interval, now() - %s::interval, 'failed', 'x')", (started, completed))
    assert len(stored_events(conn)) == expected


def test_an_old_run_that_turns_failed_now_is_stored(conn):
    conn.execute(f"{INSERT} ('sync', now() - interval '3 days', NULL, 'running', NULL)")
    conn.execute("UPDATE public.jobs_log SET status = 'failed'")
    assert len(stored_events(conn)) == 1


def test_a_rolled_back_failure_leaves_nothing(conn, database):
    with connect(database) as listener:
        listener.execute("LISTEN job_failure")
        with conn.transaction(force_rollback=True):
            log_run(conn, "sync", "failed")
        listener.execute("SELECT")
        assert list(listener.notifies(timeout=0)) == []
    assert stored_events(conn) == []


def test_rolling_back_a_savepoint_drops_only_its_own_failures(conn):
    with conn.transaction():
        log_run(conn, "before", "failed")
        with conn.transaction(force_rollback=True):
            log_run(conn, "undone", "failed")
        log_run(conn, "after", "failed")
    assert [name for name, _ in stored_events(conn)] == ["before", "after"]


def test_an_event_is_seen_by_others_only_when_the_job_commits(conn, database):
    with psycopg.connect(database) as job:
        log_run(job, "sync", "failed")
        assert stored_events(conn) == []
        job.commit()
    assert len(stored_events(conn)) == 1


@pytest.mark.parametrize(
    ("statement", "tag", "expected"),
    [
        pytest.param(
            INSERT + "('a', now(), now(), 'failed', '1'), ('b', now(), now(), 'success', NULL),"
            " ('c', now(), now(), 'failed', '3')",
            "INSERT 0 3", ["a", "c"], id="several rows",
        ),
        pytest.param(
            "UPDATE public.jobs_log SET status = 'failed' WHERE job_name LIKE 'old%'", "UPDATE 2", ["old1", "old2"],
            id="update of several",
        ),
        pytest.param(
            "INSERT INTO public.jobs_log (id, job_name, status) SELECT id, job_name, 'failed' FROM public.jobs_log"
            " WHERE job_name = 'old1' ON CONFLICT (id) DO UPDATE SET status = excluded.status",
            "INSERT 0 1", ["old1"], id="on conflict do update",
        ),
        pytest.param(
            "INSERT INTO public.jobs_log (id, job_name, status) SELECT id, job_name, 'failed' FROM public.jobs_log"
            " ON CONFLICT (id) DO NOTHING",
            "INSERT 0 0", [], id="on conflict do nothing",
        ),
        pytest.param(
            "MERGE INTO public.jobs_log l USING (VALUES ('old1')) v (name) ON l.job_name = v.name"
            " WHEN MATCHED THEN UPDATE SET status = 'failed'",
            "MERGE 1", ["old1"], id="merge",
        ),
    ],
)  # fmt: skip
def test_every_way_to_write_keeps_its_row_count_and_command_tag(conn, statement, tag, expected):
    log_run(conn, "old1", "running")
    log_run(conn, "old2", "running")
    assert conn.execute(statement).statusmessage == tag
    assert [name for name, _ in stored_events(conn)] == expected


def test_a_failure_written_by_copy_is_stored(conn):
    with conn.cursor().copy("COPY public.jobs_log (job_name, status) FROM STDIN") as copy:
        for status in ("failed", "success", "failed"):
            copy.write_row((f"copied {status}", status))
    assert [name for name, _ in stored_events(conn)] == ["copied failed"] * 2


def test_a_job_needs_no_permission_on_our_objects(conn, job):
    log_run(job, "sync", "failed", error_message="boom")
    job.commit()
    assert stored_events(conn) == [("sync", "boom")]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        job.execute("SELECT * FROM airflow_jobmon.events")


def test_a_job_cannot_make_the_trigger_run_its_own_code(conn, job):
    """SECURITY DEFINER: objects in the search path of the job must not run as the owner of the schema."""
    conn.execute("CREATE SCHEMA trap AUTHORIZATION job_writer")
    for signature in ("to_json(uuid)", "lower(text)", "left(text, integer)", "pg_notify(text, text)"):
        job.execute(
            f"CREATE FUNCTION trap.{signature} RETURNS text LANGUAGE plpgsql"
            " AS 'BEGIN RAISE WARNING ''mine''; RETURN NULL; END'"
        )
    job.execute("CREATE TEMP TABLE events (run_id text, job_name text)")
    job.execute("SET search_path = trap, pg_temp, pg_catalog, public")
    heard: list[str] = []
    job.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
    log_run(job, "sync", "failed")
    job.commit()
    assert heard == []
    assert len(stored_events(conn)) == 1


def test_the_jobs_session_is_left_as_it_was(conn):
    """lastval(), currval() and settings belong to the job; an id taken from a sequence of ours would change them."""
    conn.execute("CREATE SEQUENCE public.mine START 4711")
    conn.execute("SELECT nextval('public.mine')")
    conn.execute("SET lock_timeout = '7s'")
    log_run(conn, "sync", "failed")
    row = conn.execute("SELECT lastval(), current_setting('lock_timeout'), current_setting('search_path')").fetchone()
    assert row == (4711, "7s", '"$user", public')


def test_a_successful_run_calls_no_function_of_ours(conn):
    def calls() -> int:
        conn.execute("SELECT pg_stat_force_next_flush()")
        row = conn.execute(
            "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_user_functions WHERE schemaname = 'airflow_jobmon'"
        ).fetchone()
        return row[0]

    before = calls()
    for _ in range(5):
        finish_run(conn, log_run(conn, "sync", "running"), "success")
        log_run(conn, "sync", "success")
    conn.execute("UPDATE public.jobs_log SET records_updated = 1")
    assert calls() == before
    log_run(conn, "sync", "failed")
    assert calls() == before + 2  # the trigger function and the payload: calls are counted


def test_a_failed_run_that_is_written_again_calls_no_function_of_ours(conn):
    run = log_run(conn, "sync", "failed")
    finish_run(conn, run, "failed", error_message="said twice")
    assert len(stored_events(conn)) == 1


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_failures_side_by_side_never_abort_each_other(conn, database, isolation):
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        for each in (first, second):
            each.execute(
                sql.SQL("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}").format(sql.SQL(isolation))
            )
            each.commit()
        for name in ("a", "b", "c"):
            log_run(first, name, "failed")
            log_run(second, name, "failed")
        first.commit()
        second.commit()
    assert sorted(name for name, _ in stored_events(conn)) == ["a", "a", "b", "b", "c", "c"]


def test_a_serializable_job_is_not_aborted_by_an_evaluation_that_claims_events(conn, database):
    log_run(conn, "before", "failed")
    with psycopg.connect(database, options="-c default_transaction_isolation=serializable") as job:
        log_run(job, "during", "failed")
        conn.execute("DELETE FROM airflow_jobmon.events")
        log_run(job, "during", "failed")
        job.commit()
    assert [name for name, _ in stored_events(conn)] == ["during", "during"]


def test_replicated_rows_are_left_to_the_sweep_unless_the_trigger_is_enabled_always(conn):
    conn.execute("SET session_replication_role = replica")
    log_run(conn, "sync", "failed")
    assert stored_events(conn) == []
    conn.execute("ALTER TABLE public.jobs_log ENABLE ALWAYS TRIGGER airflow_jobmon_failed_insert")
    log_run(conn, "sync", "failed")
    assert len(stored_events(conn)) == 1


def test_events_are_ordered_by_time(conn):
    names = [f"job {number:02}" for number in range(20)]
    for name in names:
        log_run(conn, name, "failed")
    assert [name for name, _ in stored_events(conn)] == names


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        pytest.param("x" * 1_000_000, "x" * 4000, id="a megabyte"),
        pytest.param("ü" * 5000, "ü" * 4000, id="two bytes a character"),
        pytest.param("🚨" * 5000, "🚨" * 4000, id="four bytes a character"),
        pytest.param('\x01\x1f\x7f\n\t"\\' * 700, ('\x01\x1f\x7f\n\t"\\' * 700)[:4000], id="control characters"),
        pytest.param("", "", id="empty"),
        pytest.param(None, None, id="none"),
    ],
)
def test_an_error_is_kept_up_to_4000_characters(conn, error, kept):
    log_run(conn, "sync", "failed", error_message=error)
    assert stored_events(conn) == [("sync", kept)]
