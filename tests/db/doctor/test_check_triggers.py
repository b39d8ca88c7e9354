"""The doctor's checks of triggers, their function, replication and prepared transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from airflow_jobmon.doctor import check_jobs_log, check_server, check_triggers
from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import installation_at, run_database_checks
from tests.support.logged_runs import log_run
from tests.support.trigger_events import stored_events

INSERT, UPDATE = "airflow_jobmon_failed_insert", "airflow_jobmon_failed_update"


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        pytest.param(
            f"DROP TRIGGER {INSERT} ON public.jobs_log", f"is missing: {INSERT} on public.jobs_log;", id="dropped"
        ),
        pytest.param(f"ALTER TABLE public.jobs_log DISABLE TRIGGER {UPDATE}", f"is disabled: {UPDATE}", id="disabled"),
        pytest.param(
            "ALTER TABLE public.jobs_log DISABLE TRIGGER ALL",
            f"is disabled: {INSERT} on public.jobs_log, {UPDATE}",
            id="all",
        ),
        pytest.param(
            f"ALTER TABLE public.jobs_log ENABLE REPLICA TRIGGER {INSERT}",
            "for replicated rows only",
            id="as a replica",
        ),
    ],
)
def test_an_inactive_trigger_is_wrong_with_a_working_advice(conn, database, change, seen):
    conn.execute(change)
    trigger = run_database_checks(database).only("trigger")
    assert trigger.state is CheckState.WRONG
    assert seen in trigger.seen
    if "ALTER TABLE" in trigger.advice:
        for name in (INSERT, UPDATE):
            conn.execute(trigger.advice.partition(" (")[0].replace(INSERT, name).replace(UPDATE, name))
    else:
        migrate(conn, Settings())
    log_run(conn, "load", "failed")
    assert len(stored_events(conn)) == 1
    assert run_database_checks(database).only("trigger").state is CheckState.OK


def test_an_always_firing_trigger_is_ok(conn, database):
    conn.execute(f"ALTER TABLE public.jobs_log ENABLE ALWAYS TRIGGER {INSERT}")
    assert run_database_checks(database).only("trigger").state is CheckState.OK


def test_a_trigger_of_the_same_name_that_is_not_ours_is_missing(conn, database):
    conn.execute(f"DROP TRIGGER {INSERT} ON public.jobs_log")
    conn.execute("CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    conn.execute(f"CREATE TRIGGER {INSERT} AFTER INSERT ON public.jobs_log EXECUTE FUNCTION public.nothing()")
    assert "is missing" in run_database_checks(database).only("trigger").seen


@pytest.fixture
def partitioned(empty_database: str) -> Iterator[psycopg.Connection]:
    """A connection to a database whose log is partitioned by day."""
    with connect(empty_database) as conn:
        conn.execute(
            "CREATE TABLE public.jobs_log (id bigint GENERATED ALWAYS AS IDENTITY, job_name text NOT NULL, "
            "started_at timestamptz NOT NULL, completed_at timestamptz, records_updated integer, status text, "
            "error_message text) PARTITION BY RANGE (started_at)"
        )
        for name, start, end in (("past", "MINVALUE", "'2025-01-01'"), ("now", "'2025-01-01'", "MAXVALUE")):
            conn.execute(
                f"CREATE TABLE public.runs_{name} PARTITION OF public.jobs_log FOR VALUES FROM ({start}) TO ({end})"
            )
        migrate(conn, Settings())
        yield conn


def test_a_partitioned_log_is_ok(partitioned, empty_database):
    seen = run_database_checks(empty_database)
    assert seen.not_ok() == {"watchers", "channels", "prepared transactions"}


def test_a_trigger_disabled_on_one_partition_is_wrong(partitioned, empty_database):
    partitioned.execute(f"ALTER TABLE public.runs_now DISABLE TRIGGER {INSERT}")
    trigger = run_database_checks(empty_database).only("trigger")
    assert trigger.state is CheckState.WRONG
    assert f"is disabled: {INSERT} on public.runs_now;" in trigger.seen


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        pytest.param(
            "REVOKE INSERT ON airflow_jobmon.events FROM noter", "INSERT on airflow_jobmon.events", id="insert"
        ),
        pytest.param("REVOKE USAGE ON SCHEMA airflow_jobmon FROM noter", "USAGE on schema airflow_jobmon", id="schema"),
        pytest.param("DROP TABLE airflow_jobmon.events CASCADE", "the table airflow_jobmon.events", id="table"),
        pytest.param(
            "DROP FUNCTION airflow_jobmon.job_failure_payload",
            "function airflow_jobmon.job_failure_payload",
            id="payload",
        ),
    ],
)
def test_a_function_whose_owner_lost_a_privilege_is_wrong(conn, database, change, seen):
    with conn.transaction():
        conn.execute("CREATE ROLE noter")
        conn.execute("GRANT CREATE, USAGE ON SCHEMA airflow_jobmon TO noter")
        conn.execute("GRANT INSERT ON airflow_jobmon.events TO noter")
        conn.execute("ALTER FUNCTION airflow_jobmon.note_failed_run OWNER TO noter")
    try:
        assert run_database_checks(database).only("trigger function").state is CheckState.OK
        conn.execute(change)
        function = run_database_checks(database).only("trigger function")
        assert function.state is CheckState.WRONG
        assert f"as role 'noter', which lacks {'the ' if seen.startswith('function') else ''}{seen}" in function.seen
    finally:
        conn.execute("REASSIGN OWNED BY noter TO postgres; DROP OWNED BY noter; DROP ROLE noter")


def test_a_function_with_security_invoker_is_wrong(conn, database):
    conn.execute("ALTER FUNCTION airflow_jobmon.note_failed_run SECURITY INVOKER")
    function = run_database_checks(database).only("trigger function")
    assert function.state is CheckState.WRONG
    assert "SECURITY INVOKER" in function.seen


def test_a_missing_function_is_wrong(conn, database):
    conn.execute("DROP FUNCTION airflow_jobmon.note_failed_run CASCADE")
    seen = run_database_checks(database)
    assert "is missing" in seen.only("trigger function").seen
    assert "is missing" in seen.only("trigger").seen


def test_replica_sessions_are_wrong(conn, database):
    dbname = conn.info.dbname
    conn.execute(f"ALTER DATABASE {dbname} SET session_replication_role = 'replica'")
    with connect(database) as job:
        log_run(job, "load", "failed")
    assert stored_events(conn) == []
    replication = run_database_checks(database).only("replication")
    assert replication.state is CheckState.WRONG
    assert f"session_replication_role is replica for every role in database {dbname}" in replication.seen


# Two-phase commit


def test_two_phase_commit_is_a_warning_and_wrong_once_it_is_used(conn, database):
    found = run_database_checks(database).only("prepared transactions")
    assert found.state is CheckState.WARNING
    assert "max_prepared_transactions is 20" in found.seen
    prepare(conn, "fresh", "SELECT 1")
    try:
        found = run_database_checks(database).only("prepared transactions")
        assert found.state is CheckState.WRONG
        assert "some transactions are prepared right now" in found.seen
    finally:
        conn.execute("ROLLBACK PREPARED 'fresh'")


def test_notify_off_for_the_database_is_ok(conn, database):
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET airflow_jobmon.notify = off")
    found = run_database_checks(database).only("prepared transactions")
    assert found.state is CheckState.OK
    with connect(database) as job:
        with job.transaction():
            job.execute("INSERT INTO public.jobs_log (job_name, status) VALUES ('load', 'failed')")
            job.execute("PREPARE TRANSACTION 'failing'")
        job.execute("COMMIT PREPARED 'failing'")
    assert [name for name, _ in stored_events(conn)] == ["load"]


def test_notify_off_for_the_roles_that_prepare_is_a_warning(conn, database):
    conn.execute("CREATE ROLE preparing")
    conn.execute("ALTER ROLE preparing SET airflow_jobmon.notify = 'off'")
    prepare(conn, "theirs", "SELECT 1")
    try:
        found = run_database_checks(database).only("prepared transactions")
    finally:
        conn.execute("ROLLBACK PREPARED 'theirs'")
        conn.execute("DROP ROLE preparing")
    assert found.state is CheckState.WARNING
    assert "(it is off for preparing)" in found.seen


@pytest.mark.parametrize(
    ("statement", "state", "seen"),
    [
        pytest.param(
            "INSERT INTO public.jobs_log (job_name) VALUES ('load')",
            CheckState.WRONG,
            "holds locks on the job log",
            id="in the way",
        ),
        pytest.param(
            "CREATE TABLE public.theirs ()", CheckState.WARNING, "keeps vacuum from cleaning up", id="elsewhere"
        ),
    ],
)
def test_an_orphaned_prepared_transaction(conn, database, postgres, statement, state, seen):
    prepare(conn, "it's lost", statement)
    try:
        with installation_at(database) as installation:
            for check in (check_server.connection, check_jobs_log.job_log):
                list(check(installation))
            orphan, _ = check_triggers.prepared_transactions(installation, orphaned_after=timedelta(0))
    finally:
        conn.execute("ROLLBACK PREPARED 'it''s lost'")
    assert orphan.state is state
    assert seen in orphan.seen
    assert "ROLLBACK PREPARED 'it''s lost'" in orphan.advice


def prepare(conn: psycopg.Connection, gid: str, statement: str) -> None:
    literal = "'" + gid.replace("'", "''") + "'"
    conn.execute("BEGIN")
    conn.execute(statement)
    conn.execute(f"PREPARE TRANSACTION {literal}")
