"""The doctor on the way to the database, the job log and the triggers: each wrong state is made, not played."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from airflow_jobmon.doctor.check_server import CHANNEL
from airflow_jobmon.doctor.result import State
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import NOBODY_AT_WORK, examined
from tests.support.logged_runs import log_run
from tests.support.pgbouncer import Pooler, pgbouncer
from tests.support.postgres_server import Postgres

# The way to the database


def test_of_a_healthy_database_only_what_runs_elsewhere_is_bad(conn, database):
    log_run(conn, "load")
    seen = examined(database)
    assert seen.bad() == NOBODY_AT_WORK
    assert seen.only("connection").seen.startswith("connection 'jobmon_default' reaches database 'jobmon_")


def test_nothing_is_left_behind_and_nothing_but_its_own_notification_is_sent(conn, database):
    conn.execute("LISTEN airflow_jobmon; LISTEN job_failure")
    transactions = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    [before] = conn.execute(transactions).fetchone()
    examined(database)
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
def test_without_a_connection_all_else_of_the_database_is_not_checked(database, change, seen, advice):
    found = examined(psycopg.conninfo.make_conninfo(database, **change))
    assert found.bad() == {"connection"}
    assert found.only("connection").state is State.WRONG
    assert seen in found.only("connection").seen
    assert advice in found.only("connection").advice
    assert {found.only(check).state for check in found if check != "connection"} == {State.NOT_CHECKED}


def test_a_wrong_password_is_said_and_not_shown(postgres, database):
    hba = postgres.data / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE ROLE doctored LOGIN PASSWORD 'right'")
        try:
            hba.write_text("host all doctored 127.0.0.1/32 scram-sha-256\n" + before)
            admin.execute("SELECT pg_reload_conf()")
            connection = examined(database.replace("user=postgres", "user=doctored") + " password=hunter2-secret").only(
                "connection"
            )
        finally:
            hba.write_text(before)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP ROLE doctored")
    assert connection.state is State.WRONG
    assert "password authentication failed" in connection.seen
    assert "password" in connection.advice
    assert "hunter2" not in str(connection)


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[Pooler]:
    with pgbouncer(postgres) as started:
        yield started


def test_a_pooler_in_transaction_mode_is_found_by_a_notify_that_does_not_come_back(pooler, database, postgres):
    dbname = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    seen = examined(pooler.conninfo(dbname))
    assert seen.bad() == NOBODY_AT_WORK | {"listen"}
    assert seen.only("listen").state is State.WRONG
    assert f"pooler in transaction mode stands between (the server itself listens on port {postgres.port})" in (
        seen.only("listen").seen
    )


def test_a_pooler_in_session_mode_is_fine(postgres, database):
    dbname = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with pgbouncer(postgres, pool_mode="session") as pooler:
        assert examined(pooler.conninfo(dbname)).bad() == NOBODY_AT_WORK


def test_two_doctors_at_once_do_not_take_the_others_notification_for_their_own(conn, database):
    conn.execute("SELECT pg_notify(%s, 'of another')", [CHANNEL])
    assert examined(database).only("listen").state is State.OK


def test_a_role_whose_transactions_are_read_only_cannot_record_anything(database):
    server = examined(f"{database} options='-c default_transaction_read_only=on'").only("server")
    assert server.state is State.WRONG
    assert "read-only" in server.seen


# The schema


def test_a_database_that_was_never_migrated(empty_database):
    seen = examined(empty_database)
    assert seen.bad() == {"schema"}
    assert seen.only("schema").advice == "run `airflow jobmon migrate`"
    assert seen.only("trigger").state is State.NOT_CHECKED


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
    seen = examined(database)
    assert seen.bad() == {"schema"}
    assert advice in seen.only("schema").advice


# The job log


def test_a_log_that_was_dropped_with_our_view(conn, database):
    conn.execute("DROP TABLE public.jobs_log CASCADE")
    job_log = examined(database).only("job log")
    assert job_log.state is State.WRONG
    assert "airflow_jobmon.runs is gone" in job_log.seen


def test_a_log_that_was_renamed_and_replaced(conn, database):
    conn.execute("ALTER TABLE public.jobs_log RENAME TO jobs_log_2024")
    conn.execute("CREATE TABLE public.jobs_log (LIKE public.jobs_log_2024)")
    job_log = examined(database).only("job log")
    assert job_log.state is State.WRONG
    assert "watched is public.jobs_log_2024" in job_log.seen


def test_a_log_that_is_configured_and_does_not_exist(database):
    job_log = examined(database, Settings(jobs_log_table="public.job_runs")).only("job log")
    assert job_log.state is State.WRONG
    assert "public.job_runs, which does not exist" in job_log.seen


def test_a_name_that_no_table_can_have(database):
    job_log = examined(database, Settings(jobs_log_table="a.b.c.d")).only("job log")
    assert job_log.state is State.WRONG
    assert "is not a table name" in job_log.seen


def test_a_mapping_that_was_changed_without_migrating(database):
    job_log = examined(database, Settings(status_words={"failed": ("error",)})).only("job log")
    assert job_log.state is State.WARNING
    assert job_log.seen.startswith("status_words")


@pytest.mark.parametrize("table", ["public.jobs_log", '"Odd Schema"."Jobs %s ""Log"""'])
def test_every_check_bears_an_odd_name(empty_database, table):
    settings = Settings(jobs_log_table=table, channels=("%s odd 'channel'",))
    with connect(empty_database) as conn:
        migrate(conn, settings, create_jobs_log=True)
        conn.execute("INSERT INTO airflow_jobmon.channels (name) VALUES ('%s odd ''channel''')")
    assert examined(empty_database, settings).bad() == (NOBODY_AT_WORK - {"channels"}) | {"channel"}


def test_a_dropped_index(conn, database):
    log_run(conn, "load")
    conn.execute("ANALYZE public.jobs_log")
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    index = examined(database).only("index")
    assert index.state is State.WRONG
    assert "no index on (job_name, started_at DESC)" in index.seen
    assert "about 1 row)" in index.seen
    migrate(conn, Settings())
    assert examined(database).only("index").state is State.OK


def test_an_index_that_an_interrupted_build_left_invalid(conn, database):
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    with connect(database) as blocker:
        log_run(conn, "load")
        with blocker.transaction():
            blocker.execute("UPDATE public.jobs_log SET status = 'running'")
            conn.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                conn.execute("CREATE INDEX CONCURRENTLY half_built ON public.jobs_log (job_name, started_at DESC)")
    index = examined(database).only("index")
    assert index.state is State.WRONG
    assert "half_built is invalid" in index.seen


def test_status_words_that_nothing_maps(conn, database):
    log_run(conn, "load", "ERROR")
    log_run(conn, "load", "aborted")
    log_run(conn, "ship", "ERROR")
    words = examined(database).only("status words")
    assert words.state is State.WRONG
    assert "'ERROR' (2 jobs, e.g. 'load'), 'aborted' (1 job, e.g. 'load')" in words.seen
    mapped = Settings(status_words={"failed": ("failed", "ERROR", "aborted")})
    migrate(conn, mapped)
    assert examined(database, mapped).only("status words").state is State.OK


def test_the_words_of_a_log_that_is_too_slow_to_read_are_left_alone(conn, database):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, status) "
        "SELECT 'load-' || n % 2000, 'success' FROM generate_series(1, 60000) n"
    )
    conn.execute("DROP INDEX public.jobs_log_job_name_started_at_idx")
    seen = examined(database)
    assert seen.only("status words").state is State.NOT_CHECKED
    assert seen.only("index").state is State.WRONG
