"""`migrate`: a fresh install, again, from an older version, as a script for psql, and what remains after removal."""

from __future__ import annotations

import subprocess
from typing import Any

import psycopg
import pytest

from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema, migrate, render_sql
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.postgres_server import Postgres
from tests.support.trigger_events import stored_events

JOBS_LOG = (
    "CREATE TABLE public.jobs_log (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_name text NOT NULL,"
    " started_at timestamptz NOT NULL, completed_at timestamptz, records_updated int, status text, error_message text)"
)

ODD = Settings(
    jobs_log_table='"My Schema"."Jobs-Log; drop"',
    jobs_log_columns={"job_name": 'it\'s a "name" \\ :x'},
    status_words={"failed": ("error", "it's :broken"), "success": ("ok",)},
)


def psql(server: Postgres, conninfo: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [server.program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", "-", conninfo],
        input=script, capture_output=True, text=True, check=False,
    )  # fmt: skip


def dump(server: Postgres, conninfo: str) -> str:
    """The whole schema as pg_dump writes it, without its own random marks."""
    done = subprocess.run(
        [server.program("pg_dump"), "--schema-only", "-d", conninfo], capture_output=True, text=True, check=True
    )
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


@pytest.fixture
def fresh(empty_database: str) -> Any:
    with connect(empty_database) as conn:
        yield conn


def test_a_fresh_install_reports_its_changes_and_a_second_changes_nothing(fresh, empty_database, postgres):
    fresh.execute(JOBS_LOG)
    said: list[str] = []
    report = migrate(fresh, Settings(), progress=said.append)
    assert report.jobs_log == "public.jobs_log"
    assert report.applied[0] == "0001_schema"
    *triggers, index = report.actions
    assert triggers == [
        "trigger airflow_jobmon_failed_insert created on public.jobs_log",
        "trigger airflow_jobmon_failed_update created on public.jobs_log",
        "trigger airflow_jobmon_days_insert created on public.jobs_log",
        "trigger airflow_jobmon_days_update created on public.jobs_log",
        "trigger airflow_jobmon_days_delete created on public.jobs_log",
        "trigger airflow_jobmon_days_truncate created on public.jobs_log",
        "trigger airflow_jobmon_days_insert created on airflow_jobmon.jobs_log_archive",
        "trigger airflow_jobmon_days_update created on airflow_jobmon.jobs_log_archive",
        "trigger airflow_jobmon_days_delete created on airflow_jobmon.jobs_log_archive",
        "trigger airflow_jobmon_days_truncate created on airflow_jobmon.jobs_log_archive",
    ]
    assert index.startswith("CREATE INDEX CONCURRENTLY jobs_log_jobmon_")
    assert said[-1] == "public.jobs_log is watched"
    before = dump(postgres, empty_database)
    again = migrate(fresh, Settings(), progress=said.append)
    assert not again.changed
    assert said[-1] == "public.jobs_log is watched; nothing to change"
    assert dump(postgres, empty_database) == before


def test_a_second_migrate_requests_no_lock_that_conflicts_with_writers(fresh, empty_database):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    with psycopg.connect(empty_database) as job:
        log_run(job, "sync", "running")
        said: list[str] = []
        migrate(fresh, Settings(), progress=said.append)
        assert not any("waiting" in line for line in said)


@pytest.mark.parametrize("stop", range(1, schema.newest_version()))
def test_a_stepwise_upgrade_ends_like_a_fresh_install(fresh, empty_database, database, postgres, stop):
    fresh.execute(schema.prelude())
    for step in schema.migrations()[:stop]:
        fresh.execute(step.sql)
        fresh.execute("INSERT INTO airflow_jobmon.migrations VALUES (%s, %s)", (step.version, step.name))
    with pytest.raises(SchemaProblem, match="run `airflow jobmon migrate`"):
        check_schema(fresh)
    migrate(fresh, Settings(), create_jobs_log=True)
    check_schema(fresh)
    assert dump(postgres, empty_database) == dump(postgres, database)


@pytest.mark.parametrize("settings", [pytest.param(Settings(), id="plain"), pytest.param(ODD, id="odd names")])
def test_the_printed_sql_installs_the_same_schema_and_may_run_twice(fresh, empty_database, postgres, settings):
    script = render_sql(settings, create_jobs_log=True)
    for _ in range(2):
        done = psql(postgres, empty_database, script)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    printed = dump(postgres, empty_database)
    check_schema(fresh)
    row = fresh.execute("SELECT installed_at IS NOT NULL, jobs_log_columns FROM airflow_jobmon.installation").fetchone()
    assert row == (True, dict(settings.jobs_log_columns))
    assert not migrate(fresh, settings).changed
    fresh.execute("DROP SCHEMA airflow_jobmon CASCADE; DROP TABLE IF EXISTS public.jobs_log")
    fresh.execute('DROP SCHEMA IF EXISTS "My Schema" CASCADE')
    migrate(fresh, settings, create_jobs_log=True)
    assert dump(postgres, empty_database) == printed


def test_the_printed_sql_builds_the_index_if_none_serves(fresh, empty_database, postgres):
    fresh.execute(JOBS_LOG)
    assert psql(postgres, empty_database, render_sql(Settings())).returncode == 0
    assert fresh.execute("SELECT count(*) FROM airflow_jobmon.index_statements()").fetchone() == (0,)


def test_the_printed_sql_stops_at_a_newer_database(fresh, empty_database, postgres):
    migrate(fresh, Settings(), create_jobs_log=True)
    fresh.execute("INSERT INTO airflow_jobmon.migrations VALUES (9999, 'from the future')")
    done = psql(postgres, empty_database, render_sql(Settings()))
    assert done.returncode != 0
    assert "this database is at migration 9999" in done.stderr


def test_the_printed_sql_changes_nothing_if_the_table_does_not_fit(fresh, empty_database, postgres):
    before = dump(postgres, empty_database)
    done = psql(postgres, empty_database, render_sql(Settings()))
    assert done.returncode != 0
    assert "table public.jobs_log does not exist" in done.stderr
    assert dump(postgres, empty_database) == before


def test_the_first_time_of_installation_is_kept(fresh):
    migrate(fresh, Settings(), create_jobs_log=True)
    first = fresh.execute("SELECT installed_at FROM airflow_jobmon.installation").fetchall()
    migrate(fresh, Settings())
    assert fresh.execute("SELECT installed_at FROM airflow_jobmon.installation").fetchall() == first


def test_the_created_table_has_the_mapped_names_and_is_left_alone_the_next_time(fresh):
    migrate(fresh, ODD, create_jobs_log=True)
    fresh.execute(
        """INSERT INTO "My Schema"."Jobs-Log; drop" ("it's a ""name"" \\ :x", status) VALUES ('sync', 'error')"""
    )
    report = migrate(fresh, ODD, create_jobs_log=True)
    assert not report.changed
    assert fresh.execute("SELECT job_name, status FROM airflow_jobmon.runs").fetchall() == [("sync", "failed")]
    assert stored_events(fresh) == [("sync", None)]


def test_a_changed_mapping_takes_effect(fresh):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    fresh.execute("ALTER TABLE public.jobs_log RENAME job_name TO name")
    report = migrate(fresh, Settings(jobs_log_columns={"job_name": "name"}, status_words={"failed": ("error",)}))
    assert [action for action in report.actions if "trigger" in action]
    fresh.execute("INSERT INTO public.jobs_log (name, started_at, status) VALUES ('sync', now(), 'error')")
    assert stored_events(fresh) == [("sync", None)]
    migrate(fresh, Settings(jobs_log_columns={"job_name": "name"}))
    fresh.execute("INSERT INTO public.jobs_log (name, started_at, status) VALUES ('sync', now(), 'error')")
    assert len(stored_events(fresh)) == 1


def test_the_triggers_move_to_another_table(fresh):
    fresh.execute(JOBS_LOG)
    fresh.execute(JOBS_LOG.replace("jobs_log", "other_log"))
    migrate(fresh, Settings())
    report = migrate(fresh, Settings(jobs_log_table="public.other_log"))
    assert "trigger airflow_jobmon_failed_insert removed from public.jobs_log" in report.actions
    fresh.execute("INSERT INTO public.jobs_log (job_name, started_at, status) VALUES ('old', now(), 'failed')")
    fresh.execute("INSERT INTO public.other_log (job_name, started_at, status) VALUES ('new', now(), 'failed')")
    assert stored_events(fresh) == [("new", None)]


@pytest.mark.parametrize("choice", ["DISABLE", "ENABLE ALWAYS"])
def test_a_trigger_that_the_user_disabled_or_enabled_always_stays_so(fresh, choice):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    fresh.execute(f"ALTER TABLE public.jobs_log {choice} TRIGGER airflow_jobmon_failed_insert")
    enabled = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'public.jobs_log'::regclass ORDER BY 1"
    before = fresh.execute(enabled).fetchall()
    migrate(fresh, Settings(status_words={"failed": ("error",)}))
    assert fresh.execute(enabled).fetchall() == before


def test_objects_that_the_user_dropped_are_created_again(fresh):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    fresh.execute(
        "DROP TRIGGER airflow_jobmon_failed_insert ON public.jobs_log; DROP VIEW airflow_jobmon.job_health;"
        "DROP FUNCTION airflow_jobmon.job_failure_payload"
    )
    migrate(fresh, Settings())
    fresh.execute("INSERT INTO public.jobs_log (job_name, started_at, status) VALUES ('sync', now(), 'failed')")
    assert len(stored_events(fresh)) == 1
    assert fresh.execute("SELECT * FROM airflow_jobmon.job_health").fetchall() == []


def test_a_function_that_had_other_columns_in_an_older_version_is_created_again(fresh):
    migrate(fresh, Settings(), create_jobs_log=True)
    fresh.execute("DROP FUNCTION airflow_jobmon.trigger_definitions(regclass, jsonb)")
    fresh.execute(
        "CREATE FUNCTION airflow_jobmon.trigger_definitions(jobs_log regclass, mapped jsonb)"
        " RETURNS TABLE (name text, definition text) LANGUAGE sql AS $$ SELECT 'x', 'y' $$"
    )
    assert not migrate(fresh, Settings()).changed


def test_a_column_can_change_its_type_as_the_documentation_says(fresh):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    alter = "ALTER TABLE public.jobs_log ALTER status TYPE varchar(20)"
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        fresh.execute(alter)
    fresh.execute("DROP VIEW airflow_jobmon.runs, airflow_jobmon.history CASCADE")
    for name in ("insert", "update"):
        fresh.execute(f"DROP TRIGGER airflow_jobmon_failed_{name} ON public.jobs_log")
    fresh.execute(alter)
    migrate(fresh, Settings())
    log_run(fresh, "sync", "failed")
    assert stored_events(fresh) == [("sync", None)]
    assert fresh.execute("SELECT job_name FROM airflow_jobmon.failed_jobs").fetchall() == [("sync",)]


def test_views_and_grants_that_others_built_on_ours_survive(fresh):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    fresh.execute("CREATE VIEW public.theirs AS SELECT job_name FROM airflow_jobmon.runs")
    fresh.execute("GRANT SELECT ON airflow_jobmon.runs TO PUBLIC")
    migrate(fresh, Settings(status_words={"failed": ("error",)}))
    fresh.execute("SELECT * FROM public.theirs")
    assert (
        fresh.execute("SELECT relacl::text FROM pg_class WHERE oid = 'airflow_jobmon.runs'::regclass")
        .fetchone()[0]
        .count("=r/")
    )


def test_dropping_our_schema_leaves_the_users_table_as_it_was(fresh, empty_database, postgres):
    fresh.execute(JOBS_LOG + "; CREATE INDEX ON public.jobs_log (job_name, started_at)")
    before = dump(postgres, empty_database)
    migrate(fresh, Settings())
    fresh.execute("DROP SCHEMA airflow_jobmon CASCADE")
    assert dump(postgres, empty_database) == before


def test_the_grants_give_each_role_the_privileges_it_needs_and_no_more(fresh):
    fresh.execute(JOBS_LOG)
    migrate(fresh, Settings())
    for _ in range(2):
        fresh.execute(schema.grants())
    fresh.execute("INSERT INTO public.jobs_log (job_name, started_at, status) VALUES ('sync', now(), 'failed')")
    try:
        fresh.execute("SET ROLE jobmon_reader")
        assert fresh.execute("SELECT job_name FROM airflow_jobmon.failed_jobs").fetchall() == [("sync",)]
        check_schema(fresh)
        for refused in (
            "DELETE FROM airflow_jobmon.events",
            "SELECT * FROM public.jobs_log",
            "UPDATE airflow_jobmon.runs SET job_name = 'x'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                fresh.execute(refused)
        fresh.execute("SET ROLE jobmon_operator")
        fresh.execute("DELETE FROM airflow_jobmon.events")
        fresh.execute(
            "INSERT INTO airflow_jobmon.alerts (job_name, kind, event, severity, details)"
            " VALUES ('a', 'b', 'test', 'c', '{}')"
        )
        for refused in (
            "UPDATE airflow_jobmon.installation SET installed_at = now()",
            "DELETE FROM airflow_jobmon.runs",
            "INSERT INTO airflow_jobmon.migrations VALUES (99, 'more')",
            "CREATE TABLE airflow_jobmon.more ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                fresh.execute(refused)
    finally:
        fresh.execute(
            "RESET ROLE; DROP OWNED BY jobmon_reader, jobmon_operator; DROP ROLE jobmon_reader, jobmon_operator"
        )
