"""The simulated failure in many kinds of tables: it fits through the mapping, or is refused without a change."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from airflow_jobmon.drills.failure import run_failure_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.monitoring.checks import evaluate_events
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.database_rows import row_count

PLAIN = {
    "id": "uuid PRIMARY KEY DEFAULT gen_random_uuid()",
    "job_name": "text NOT NULL",
    "started_at": "timestamptz NOT NULL",
    "completed_at": "timestamptz",
    "status": "text NOT NULL",
    "records_updated": "integer",
    "error_message": "text",
}
MAPPED = {
    "job_name": "Job Name",
    "started_at": "begin",
    "completed_at": "end",
    "status": "state",
    "error_message": "why",
}
CHANNELS = ("slack",)
SWALLOWS = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {} RETURN {}; END';"


def made(conn, *, after: str = "", more: str = "", suffix: str = "", table: str = "public.jobs_log", **columns):
    """A job log with these columns instead of the plain ones (None: without it), migrated."""
    wanted = {name: kind for name, kind in {**PLAIN, **columns}.items() if kind is not None}
    listed = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
    conn.execute(f"{more}; CREATE TABLE {table} ({listed}) {suffix}; {after}")
    return conn


@pytest.fixture
def fresh(empty_database):
    with connect(empty_database) as conn:
        yield conn


def run_the_drill(conn, settings: Settings, job: str = "load"):
    """With an evaluation but no delivery: the steps after the evaluation do not matter here."""
    return run_failure_drill(
        conn,
        settings,
        job,
        DrillOptions(
            lambda _: timedelta(0),
            within=timedelta(seconds=5),
            deliver=lambda: evaluate_events(conn, settings) and None,
        ),
    )


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({}, id="plain"),
        pytest.param({"id": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}, id="identity"),
        pytest.param({"id": "char(40) DEFAULT 'run ' || clock_timestamp()"}, id="padded text"),
        pytest.param({"started_at": "timestamp", "completed_at": "timestamp"}, id="no zone"),
        pytest.param({"records_updated": "integer NOT NULL"}, id="a count that must be given"),
        pytest.param({"started_at": "date", "completed_at": "date"}, id="days only"),
        pytest.param(
            {
                "more": "CREATE TYPE state AS ENUM ('running', 'success', 'failed')",
                "status": "state NOT NULL",
            },
            id="an enum",
        ),
        pytest.param(
            {
                "more": "CREATE DOMAIN jobname AS varchar(60) CHECK (VALUE <> '')",
                "job_name": "jobname NOT NULL",
                "id": "serial PRIMARY KEY",
            },
            id="a domain",
        ),
        pytest.param(
            {
                "id": "uuid NOT NULL DEFAULT gen_random_uuid()",
                "suffix": "PARTITION BY RANGE (started_at)",
                "after": "CREATE TABLE later PARTITION OF public.jobs_log DEFAULT",
            },
            id="partitioned",
        ),
    ],
)
def test_the_run_fits_in_many_kinds_of_tables(fresh, table):
    settings = Settings(channels=CHANNELS)
    migrate(made(fresh, **table), settings)
    fresh.execute("SET TimeZone = 'Pacific/Auckland'")
    result = run_the_drill(fresh, settings)
    assert [step.step for step in result.steps if not step.ok] == ["accepted by slack"], result.failures
    assert row_count(fresh) == 0


@pytest.mark.parametrize("words", [{"failed": ("oops: 50%", "aborted")}, {"success": ("ok",)}])
def test_the_run_uses_the_mapped_columns_and_words(fresh, words):
    settings = Settings(channels=CHANNELS, jobs_log_table='odd."Job-Runs"', jobs_log_columns=MAPPED, status_words=words)
    columns = {MAPPED.get(name, name): kind for name, kind in PLAIN.items()}
    made(fresh, more="CREATE SCHEMA odd", table='odd."Job-Runs"', **dict.fromkeys(MAPPED), **columns)
    migrate(fresh, settings)
    result = run_the_drill(fresh, settings)
    assert [step.step for step in result.steps if not step.ok] == ["accepted by slack"], result.failures
    assert result.steps[0].expected == 'a row in odd."Job-Runs"'
    assert row_count(fresh, 'odd."Job-Runs"') == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param(
            {"tenant": "integer NOT NULL"},
            "column tenant requires a value and has no default, and a drill knows only the columns of a run; "
            r"give it one \(ALTER TABLE public.jobs_log ALTER tenant SET DEFAULT ...\)",
            id="a column more, not null",
        ),
        pytest.param({"id": "uuid PRIMARY KEY"}, "column id of public.jobs_log has no default", id="an id to be given"),
        pytest.param({"id": "uuid"}, "gave the simulated failure no id; column id", id="an id that may be null"),
        pytest.param(
            {"after": "ALTER TABLE public.jobs_log ADD CONSTRAINT known CHECK (job_name = 'other')"},
            "let constraint known admit it",
            id="a check",
        ),
        pytest.param(
            {"more": "CREATE TABLE names (name text PRIMARY KEY)", "job_name": "text REFERENCES names"},
            "constraint jobs_log_job_name_fkey refers to another table, which lacks the job",
            id="a foreign key",
        ),
        pytest.param({"error_message": "varchar(20)"}, "value too long for type character varying", id="a short error"),
        pytest.param({"error_message": "jsonb"}, "invalid input syntax for type json", id="an error in JSON"),
        pytest.param({"error_message": None}, "has no column error_message, so nothing could mark", id="no error"),
        pytest.param(
            {
                "after": SWALLOWS.format("", "NULL")
                + "CREATE TRIGGER theirs BEFORE INSERT ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION swallow()"
            },
            "discarded the simulated failure",
            id="a trigger that swallows it",
        ),
        pytest.param(
            {
                "after": SWALLOWS.format("NEW.error_message := ''failed: '' || NEW.error_message;", "NEW")
                + "CREATE TRIGGER theirs BEFORE INSERT ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION swallow()"
            },
            "would count as a real one",
            id="a trigger that rewrites the error",
        ),
        pytest.param(
            {
                "after": SWALLOWS.format("", "NULL")
                + "CREATE TRIGGER theirs BEFORE DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION swallow()"
            },
            "would not let the simulated failure be deleted",
            id="a trigger that keeps it",
        ),
        pytest.param(
            {
                "after": SWALLOWS.format("RAISE EXCEPTION ''rows stay'';", "NULL")
                + "CREATE TRIGGER theirs BEFORE DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION swallow()"
            },
            "rows stay",
            id="a trigger that forbids deleting",
        ),
    ],
)
def test_a_table_that_rejects_the_run_is_named_with_what_it_needs_and_nothing_is_changed(fresh, table, said):
    settings = Settings(channels=CHANNELS)
    migrate(made(fresh, **table), settings)
    with pytest.raises(SchemaProblem, match=said):
        run_the_drill(fresh, settings)
    assert (
        row_count(fresh) == row_count(fresh, "airflow_jobmon.events") == row_count(fresh, "airflow_jobmon.alerts") == 0
    )
    assert fresh.execute("SELECT ended_at IS NULL, run_id FROM airflow_jobmon.drills").fetchall() == [(False, None)]


def test_a_role_without_insert_gets_the_grant_to_run(fresh, postgres):
    settings = Settings(channels=CHANNELS)
    migrate(made(fresh), settings)
    fresh.execute(
        'DROP ROLE IF EXISTS "a drill"; CREATE ROLE "a drill" LOGIN; GRANT USAGE ON SCHEMA airflow_jobmon TO "a drill";'
        'GRANT ALL ON ALL TABLES IN SCHEMA airflow_jobmon TO "a drill"'
    )
    conninfo = psycopg.conninfo.make_conninfo(postgres.conninfo(fresh.info.dbname), user="a drill")
    with (
        connect(conninfo) as theirs,
        pytest.raises(SchemaProblem, match=r'GRANT SELECT, INSERT, DELETE ON public.jobs_log TO "a drill"'),
    ):
        run_the_drill(theirs, settings)
    fresh.execute('DROP OWNED BY "a drill"; DROP ROLE "a drill"')


def test_a_drill_does_not_wait_for_a_locked_table(fresh, empty_database, monkeypatch):
    settings = Settings(channels=CHANNELS)
    migrate(made(fresh), settings)
    fresh.execute("SET lock_timeout = '50ms'")
    from airflow_jobmon.postgres import simulated_failure

    queries = dict(simulated_failure.load_queries("simulated_failure"))
    monkeypatch.setattr(
        simulated_failure, "load_queries", lambda _: {**queries, "session": queries["session"].replace("5s", "50ms")}
    )
    with connect(empty_database) as other, other.transaction():
        other.execute("LOCK TABLE public.jobs_log")
        with pytest.raises(
            SchemaProblem, match="another session holds a lock on it; try again later; nothing was changed"
        ):
            run_the_drill(fresh, settings)
