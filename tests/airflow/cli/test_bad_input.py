"""Bad input gives one line that says what to do and an exit code: no stdout, no change, no traceback."""

from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg.conninfo import make_conninfo


def no_connection(conninfo, conn, connect_to, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")


def connection_of_another_type(conninfo, conn, connect_to, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", "mysql://h/d")


def unknown_role(conninfo, conn, connect_to, monkeypatch):
    connect_to("jobmon_default", make_conninfo(conninfo, user="nobody-here"))


def server_down(conninfo, conn, connect_to, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    connect_to("jobmon_default", make_conninfo(conninfo, port=port))


def not_migrated(conninfo, conn, connect_to, monkeypatch):
    conn.execute("DROP SCHEMA airflow_jobmon CASCADE")


def newer_schema(conninfo, conn, connect_to, monkeypatch):
    conn.execute("INSERT INTO airflow_jobmon.migrations (version, name) VALUES (9999, 'later')")


def bad_duration(conninfo, conn, connect_to, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__SWEEP_INTERVAL", "30")


@pytest.mark.parametrize(
    ("break_it", "expected_error"),
    [
        pytest.param(no_connection, "Airflow has no connection 'jobmon_default'; add it under", id="no connection"),
        pytest.param(connection_of_another_type, "the job log needs type 'postgres'", id="connection type"),
        pytest.param(unknown_role, "check the connection's login", id="unknown role"),
        pytest.param(server_down, "is the server running there?", id="server down"),
        pytest.param(not_migrated, "run `airflow jobmon migrate`", id="not migrated"),
        pytest.param(newer_schema, "upgrade airflow-provider-jobmon here", id="newer schema"),
        pytest.param(bad_duration, "[jobmon] sweep_interval: '30' is not a valid duration", id="bad duration"),
    ],
)
def test_an_unusable_database_is_a_one_line_error(
    jobmon, database, conn, airflow_connection, monkeypatch, break_it, expected_error
):
    break_it(database, conn, airflow_connection, monkeypatch)
    assert_one_line(jobmon("check"), 3, expected_error)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("check --record", 3, id="check --record"),
        pytest.param("listen", 1, id="listen"),
        pytest.param("deliver", 1, id="deliver"),
        pytest.param("alerts --retry", 1, id="alerts"),
        pytest.param("incidents", 1, id="incidents"),
        pytest.param("jobs list", 1, id="jobs list"),
        pytest.param("jobs apply {file}", 1, id="jobs apply"),
    ],
)
def test_every_command_needs_a_migrated_database(jobmon, conn, jobs_file, command, code):
    conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
    failed = jobmon(*command.format(file=jobs_file).split())
    assert_one_line(failed, code, "run `airflow jobmon migrate`")


def test_the_advice_to_migrate_names_the_connection_that_was_used(jobmon, empty_database, airflow_connection):
    airflow_connection("elsewhere", empty_database)
    failed = jobmon("check", "--conn-id", "elsewhere")
    assert_one_line(failed, 3, "is not migrated; run `airflow jobmon migrate --conn-id elsewhere`")


@pytest.mark.parametrize(
    ("change", "expected_error"),
    [
        pytest.param("DROP TABLE public.jobs_log CASCADE", "table public.jobs_log does not exist", id="no table"),
        pytest.param("ALTER TABLE public.jobs_log RENAME started_at TO begun", "started_at", id="no column"),
    ],
)
def test_migrate_reports_what_the_job_log_lacks(jobmon, empty_database, airflow_connection, change, expected_error):
    airflow_connection("jobmon_default", empty_database)
    with psycopg.connect(empty_database, autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE public.jobs_log (id int, job_name text, started_at timestamptz, status text,"
            " completed_at timestamptz, records_updated int, error_message text)"
        )
        owner.execute(change)
        assert_one_line(jobmon("migrate"), 1, expected_error)
        assert owner.execute("SELECT to_regnamespace('airflow_jobmon')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("setting", "value", "expected_error"),
    [
        pytest.param("JOBS_LOG_COLUMNS", "started_at=begun", "begun", id="a column that is not there"),
        pytest.param("JOBS_LOG_COLUMNS", "jobname=name", "did you mean 'job_name'?", id="a column that is not ours"),
        pytest.param("STATUS_WORDS", "fail=error", "did you mean 'failed'?", id="a status that is not ours"),
    ],
)
def test_migrate_reports_what_is_wrong_with_a_mapping(jobmon, conn, monkeypatch, setting, value, expected_error):
    monkeypatch.setenv(f"AIRFLOW__JOBMON__{setting}", value)
    assert_one_line(jobmon("migrate"), 1, expected_error)


def test_a_missing_table_of_ours_is_reported_as_the_database_says_it(jobmon, conn):
    conn.execute("ALTER TABLE airflow_jobmon.alerts RENAME TO gone")
    assert_one_line(jobmon("alerts"), 1, 'database error: relation "airflow_jobmon.alerts" does not exist')


@pytest.mark.parametrize("command", ["alerts --retry", "listen"])
def test_a_read_only_role_gets_the_advice_which_role_to_grant(
    jobmon, conn, database, airflow_connection, monkeypatch, command
):
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "hook")
    conn.execute("DO $$ BEGIN CREATE ROLE onlooker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT USAGE ON SCHEMA airflow_jobmon TO onlooker")
    conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA airflow_jobmon TO onlooker")
    airflow_connection("jobmon_default", make_conninfo(database, user="onlooker"))
    failed = jobmon(*command.split())
    assert_one_line(failed, 1, "database error: permission denied for ")
    assert "grant the role jobmon_operator to the connection's login" in failed.err


def test_an_unreadable_job_log_gets_the_advice_to_run_the_doctor(jobmon, conn):
    conn.execute("DO $$ BEGIN CREATE ROLE blind; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT USAGE, CREATE ON SCHEMA airflow_jobmon TO blind; ALTER VIEW airflow_jobmon.runs OWNER TO blind")
    failed = jobmon("check")
    assert_one_line(failed, 3, "permission denied for table jobs_log")
    assert "for the job log itself, run airflow jobmon doctor" in failed.err


def test_a_wrong_password_is_reported_without_showing_it(jobmon, postgres, database, airflow_connection):
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
        rules = postgres.data / "pg_hba.conf"
        trusting = rules.read_text()
        rules.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{trusting}")
        admin.execute("SELECT pg_reload_conf()")
        try:
            airflow_connection("jobmon_default", make_conninfo(database, user="careful", password="wr0ng-secret"))
            failed = jobmon("check")
            while failed.code != 3 or "password" not in failed.err:  # the server reads its rules again in its own time
                failed = jobmon("check")
        finally:
            rules.write_text(trusting)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP ROLE careful")
    assert_one_line(failed, 3, "correct the login and password of the connection")
    assert "wr0ng-secret" not in failed.err


@pytest.mark.parametrize(
    ("command", "code", "expected_error"),
    [
        pytest.param(["check", "\udcff"], 3, "'\\udcff' cannot be written as utf", id="a name that is no UTF-8"),
        pytest.param(["check", "nobody"], 3, "job 'nobody' is neither registered nor", id="an unknown job"),
        pytest.param(["check", "nobody"], 3, "names with: airflow jobmon check", id="where to find all jobs"),
        pytest.param(["check", "--at", "noon"], 3, "'noon' is not a valid time; write ISO 8601", id="a bad time"),
        pytest.param(["check", "--at", "0001-01-01"], 3, "between the years 1900 and 9000", id="before the calendar"),
        pytest.param(["check", "--at", "9999-12-31T23:59-12:00"], 3, "is out of range", id="after the calendar"),
        pytest.param(["check", "--at", "2025-11-13", "--record"], 3, "leave one of them out", id="recording the past"),
        pytest.param(["alerts", "--limit", "0"], 1, "--limit 0 shows nothing", id="no rows"),
        pytest.param(["alerts", "--limit", "1" + 20 * "0"], 1, "give 1000000 or less", id="more rows than there are"),
        pytest.param(["jobs", "suggest", "--days", "1" + 20 * "0"], 1, "give 36500 or less", id="a long history"),
        pytest.param(["listen"], 1, "name channels in [jobmon] channels", id="no channel"),
        pytest.param(["jobs", "apply", "/nowhere.yaml"], 1, "/nowhere.yaml: cannot be read", id="no file"),
        pytest.param(["jobs", "list", "--conn-id", "other"], 1, "no connection 'other'", id="another connection"),
    ],
)
def test_a_bad_argument_is_a_one_line_error(jobmon, command, code, expected_error):
    assert_one_line(jobmon(*command), code, expected_error)


@pytest.mark.parametrize("number", ["0", "-1", "1" + 20 * "0", "x"])
@pytest.mark.parametrize("command", ["incidents", "ack"])
def test_an_invalid_incident_number_is_refused(parser, capsys, command, number):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["jobmon", command, f"--id={number}"])
    assert ended.value.code == 2
    assert "is not an incident number; `airflow jobmon incidents` lists them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("channels", "expected_error"),
    [
        pytest.param("absent", "channel absent: Airflow has no connection 'absent'", id="no such connection"),
        pytest.param(
            "jobmon_default", "has type 'postgres', which is not a channel type; use one of", id="not a channel's type"
        ),
    ],
)
@pytest.mark.parametrize("command", ["listen", "deliver"])
def test_a_channel_that_cannot_be_opened_is_reported(jobmon, monkeypatch, command, channels, expected_error):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", channels)
    failed = jobmon(command)
    assert failed.code == 1
    assert expected_error in failed.err
    assert len(failed.err.splitlines()) == 1


def assert_one_line(failed, code: int, expected_error: str) -> None:
    assert (failed.code, failed.out) == (code, "")
    [line] = failed.err.splitlines()
    assert line.startswith("error: ")
    assert expected_error in line
