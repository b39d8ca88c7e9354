"""The doctor's checks of the server, the schema and the job log; each wrong state is real, not mocked."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from airflow_jobmon.doctor.check_server import CHANNEL
from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import NOT_OK_IN_TESTS, run_database_checks
from tests.support.logged_runs import log_run
from tests.support.pgbouncer import Pooler, pgbouncer
from tests.support.postgres_server import Postgres

# The connection and the server


def test_a_healthy_database_is_ok(conn, database):
    log_run(conn, "load")
    seen = run_database_checks(database)
    assert seen.not_ok() == NOT_OK_IN_TESTS
    assert seen.only("connection").seen.startswith("connection 'jobmon_default' reaches database 'jobmon_")


def test_the_doctor_writes_nothing_and_sends_only_its_own_notification(conn, database):
    conn.execute("LISTEN airflow_jobmon; LISTEN job_failure")
    transactions = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    [before] = conn.execute(transactions).fetchone()
    run_database_checks(database)
    assert conn.execute(transactions).fetchone() == (before + 1,)  # the notification; nothing else wrote
    assert list(conn.notifies(timeout=0)) == []


@pytest.mark.parametrize(
    ("change", "seen", "advice"),
    [
        pytest.param({"port": "1"}, "onnection refused", "server running", id="server down"),
        pytest.param({"dbname": "nowhere"}, 'database "nowhere" does not exist', "check", id="no such database"),
        pytest.param({"user": "nobody"}, 'role "nobody" does not exist', "login", id="no such role"),
    ],
)
def test_without_a_connection_the_database_is_not_checked(database, change, seen, advice):
    found = run_database_checks(psycopg.conninfo.make_conninfo(database, **change))
    assert found.not_ok() == {"connection"}
    assert found.only("connection").state is CheckState.WRONG
    assert seen in found.only("connection").seen
    assert advice in found.only("connection").advice
    assert {found.only(check).state for check in found if check != "connection"} == {CheckState.NOT_CHECKED}


def test_a_wrong_password_is_reported_and_not_shown(postgres, database):
    hba = postgres.data / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE ROLE doctored LOGIN PASSWORD 'right'")
        try:
            hba.write_text("host all doctored 127.0.0.1/32 scram-sha-256\n" + before)
            admin.execute("SELECT pg_reload_conf()")
            connection = run_database_checks(
                database.replace("user=postgres", "user=doctored") + " password=hunter2-secret"
            ).only("connection")
        finally:
            hba.write_text(before)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP ROLE doctored")
    assert connection.state is CheckState.WRONG
    assert "password authentication failed" in connection.seen
    assert "password" in connection.advice
    assert "hunter2" not in str(connection)


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[Pooler]:
    with pgbouncer(postgres) as started:
        yield started


def test_a_pooler_in_transaction_mode_is_found_by_a_notify_that_does_not_arrive(pooler, database, postgres):
    dbname = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    seen = run_database_checks(pooler.conninfo(dbname))
    assert seen.not_ok() == NOT_OK_IN_TESTS | {"listen"}
    assert seen.only("listen").state is CheckState.WRONG
    assert f"pooler in transaction mode is in between (the server itself listens on port {postgres.port})" in (
        seen.only("listen").seen
    )


def test_a_pooler_in_session_mode_is_ok(postgres, database):
    dbname = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with pgbouncer(postgres, pool_mode="session") as pooler:
        assert run_database_checks(pooler.conninfo(dbname)).not_ok() == NOT_OK_IN_TESTS


def test_two_doctors_at_once_do_not_confuse_their_notifications(conn, database):
    conn.execute("SELECT pg_notify(%s, 'of another')", [CHANNEL])
    assert run_database_checks(database).only("listen").state is CheckState.OK


def test_a_role_with_read_only_transactions_is_wrong(database):
    server = run_database_checks(f"{database} options='-c default_transaction_read_only=on'").only("server")
    assert server.state is CheckState.WRONG
    assert "read-only" in server.seen


# The schema


def test_a_database_that_was_never_migrated(empty_database):
    seen = run_database_checks(empty_database)
    assert seen.not_ok() == {"schema"}
    assert seen.only("schema").advice == "run `airflow jobmon migrate`"
    assert seen.only("trigger").state is CheckState.NOT_CHECKED


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        pytest.param(
            "INSERT INTO airflow_jobmon.migrations (version, name) VALUES (99, 'later')", "upgrade", id="newer"
        ),
        pytest.param(
            f"DELETE FROM airflow_jobmon.migrations WHERE version = {schema.newest_version()}", "migrate", id="older"
        ),
    ],
)
def test_a_schema_of_another_version(conn, database, change, advice):
    conn.execute(change)
    seen = run_database_checks(database)
    assert seen.not_ok() == {"schema"}
    assert advice in seen.only("schema").advice


# The job log


def test_a_dropped_log_is_wrong(conn, database):
    conn.execute("DROP TABLE public.jobs_log CASCADE")
    job_log = run_database_checks(database).only("job log")
    assert job_log.state is CheckState.WRONG
    assert "airflow_jobmon.runs is missing" in job_log.seen


def test_a_renamed_and_replaced_log_is_wrong(conn, database):
    conn.execute("ALTER TABLE public.jobs_log RENAME TO jobs_log_2024")
    conn.execute("CREATE TABLE public.jobs_log (LIKE public.jobs_log_2024)")
    job_log = run_database_checks(database).only("job log")
    assert job_log.state is CheckState.WRONG
    assert "the watched table is public.jobs_log_2024" in job_log.seen


def test_a_configured_log_that_does_not_exist_is_wrong(database):
    job_log = run_database_checks(database, Settings(jobs_log_table="public.job_runs")).only("job log")
    assert job_log.state is CheckState.WRONG
    assert "public.job_runs, which does not exist" in job_log.seen


def test_an_invalid_table_name_is_wrong(database):
    job_log = run_database_checks(database, Settings(jobs_log_table="a.b.c.d")).only("job log")
    assert job_log.state is CheckState.WRONG
    assert "is not a table name" in job_log.seen


def test_a_mapping_changed_without_migrating_is_a_warning(database):
    job_log = run_database_checks(database, Settings(status_words={"failed": ("error",)})).only("job log")
    assert job_log.state is CheckState.WARNING
    assert job_log.seen.startswith("status_words")


@pytest.mark.parametrize("table", ["public.jobs_log", '"Odd Schema"."Jobs %s ""Log"""'])
def test_every_check_works_with_odd_names(empty_database, table):
    settings = Settings(jobs_log_table=table, channels=("%s odd 'channel'",))
    with connect(empty_database) as conn:
        migrate(conn, settings, create_jobs_log=True)
        conn.execute("INSERT INTO airflow_jobmon.channels (name) VALUES ('%s odd ''channel''')")
    assert run_database_checks(empty_database, settings).not_ok() == (NOT_OK_IN_TESTS - {"channels"}) | {"channel"}


def test_a_missing_index_is_wrong(conn, database):
    log_run(conn, "load")
    conn.execute("ANALYZE public.jobs_log")
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    index = run_database_checks(database).only("index")
    assert index.state is CheckState.WRONG
    assert "no index on (job_name, started_at DESC)" in index.seen
    assert "about 1 row)" in index.seen
    migrate(conn, Settings())
    assert run_database_checks(database).only("index").state is CheckState.OK


def test_an_invalid_index_is_wrong(conn, database):
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    with connect(database) as blocker:
        log_run(conn, "load")
        with blocker.transaction():
            blocker.execute("UPDATE public.jobs_log SET status = 'running'")
            conn.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                conn.execute("CREATE INDEX CONCURRENTLY half_built ON public.jobs_log (job_name, started_at DESC)")
    index = run_database_checks(database).only("index")
    assert index.state is CheckState.WRONG
    assert "half_built is invalid" in index.seen


def test_unmapped_status_words_are_wrong(conn, database):
    log_run(conn, "load", "ERROR")
    log_run(conn, "load", "aborted")
    log_run(conn, "ship", "ERROR")
    words = run_database_checks(database).only("status words")
    assert words.state is CheckState.WRONG
    assert "'ERROR' (2 jobs, e.g. 'load'), 'aborted' (1 job, e.g. 'load')" in words.seen
    mapped = Settings(status_words={"failed": ("failed", "ERROR", "aborted")})
    migrate(conn, mapped)
    assert run_database_checks(database, mapped).only("status words").state is CheckState.OK


def test_the_status_words_of_a_slow_log_are_not_checked(conn, database):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, status) "
        "SELECT 'load-' || n % 2000, 'success' FROM generate_series(1, 60000) n"
    )
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    seen = run_database_checks(database)
    assert seen.only("status words").state is CheckState.NOT_CHECKED
    assert seen.only("index").state is CheckState.WRONG
