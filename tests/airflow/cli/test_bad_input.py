"""Bad input is one line that says what to do and an exit code; nothing on stdout, nothing changed, no traceback."""

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
    ("trouble", "says"),
    [
        pytest.param(no_connection, "Airflow has no connection 'jobmon_default'; add it under", id="no connection"),
        pytest.param(connection_of_another_type, "the job log needs type 'postgres'", id="connection type"),
        pytest.param(unknown_role, "check the connection's login", id="unknown role"),
        pytest.param(server_down, "is the server running there?", id="server down"),
        pytest.param(not_migrated, "run `airflow jobmon migrate`", id="not migrated"),
        pytest.param(newer_schema, "upgrade airflow-provider-jobmon here", id="newer schema"),
        pytest.param(bad_duration, "[jobmon] sweep_interval: '30' is no duration", id="bad duration"),
    ],
)
def test_what_is_wrong_with_the_database_is_told_in_one_line(
    jobmon, database, conn, airflow_connection, monkeypatch, trouble, says
):
    trouble(database, conn, airflow_connection, monkeypatch)
    assert_one_line(jobmon("check"), 3, says)


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
def test_every_command_wants_a_migrated_database(jobmon, conn, jobs_file, command, code):
    conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
    failed = jobmon(*command.format(file=jobs_file).split())
    assert_one_line(failed, code, "run `airflow jobmon migrate`")


def test_a_database_that_is_not_migrated_is_to_be_migrated_by_the_connection_it_was_reached_by(
    jobmon, empty_database, airflow_connection
):
    airflow_connection("elsewhere", empty_database)
    failed = jobmon("check", "--conn-id", "elsewhere")
    assert_one_line(failed, 3, "is not migrated; run `airflow jobmon migrate --conn-id elsewhere`")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param("DROP TABLE public.jobs_log CASCADE", "table public.jobs_log does not exist", id="no table"),
        pytest.param("ALTER TABLE public.jobs_log RENAME started_at TO begun", "started_at", id="no column"),
    ],
)
def test_migrate_says_what_the_job_log_lacks(jobmon, empty_database, airflow_connection, change, says):
    airflow_connection("jobmon_default", empty_database)
    with psycopg.connect(empty_database, autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE public.jobs_log (id int, job_name text, started_at timestamptz, status text,"
            " completed_at timestamptz, records_updated int, error_message text)"
        )
        owner.execute(change)
        assert_one_line(jobmon("migrate"), 1, says)
        assert owner.execute("SELECT to_regnamespace('airflow_jobmon')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        pytest.param("JOBS_LOG_COLUMNS", "started_at=begun", "begun", id="a column that is not there"),
        pytest.param("JOBS_LOG_COLUMNS", "jobname=name", "did you mean 'job_name'?", id="a column that is not ours"),
        pytest.param("STATUS_WORDS", "fail=error", "did you mean 'failed'?", id="a status that is not ours"),
    ],
)
def test_migrate_says_what_is_wrong_with_a_mapping(jobmon, conn, monkeypatch, setting, value, says):
    monkeypatch.setenv(f"AIRFLOW__JOBMON__{setting}", value)
    assert_one_line(jobmon("migrate"), 1, says)


def test_a_table_of_ours_that_is_gone_is_told_in_the_databases_words(jobmon, conn):
    conn.execute("ALTER TABLE airflow_jobmon.alerts RENAME TO gone")
    assert_one_line(jobmon("alerts"), 1, 'the database says: relation "airflow_jobmon.alerts" does not exist')


@pytest.mark.parametrize("command", ["alerts --retry", "listen"])
def test_a_role_that_may_only_read_is_told_which_role_may_do_more(
    jobmon, conn, database, airflow_connection, monkeypatch, command
):
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "hook")
    conn.execute("DO $$ BEGIN CREATE ROLE onlooker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT USAGE ON SCHEMA airflow_jobmon TO onlooker")
    conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA airflow_jobmon TO onlooker")
    airflow_connection("jobmon_default", make_conninfo(database, user="onlooker"))
    failed = jobmon(*command.split())
    assert_one_line(failed, 1, "the database says: permission denied for ")
    assert "grant the connection's login the role jobmon_operator" in failed.err


def test_a_job_log_that_may_not_be_read_is_for_the_doctor_to_explain(jobmon, conn):
    conn.execute("DO $$ BEGIN CREATE ROLE blind; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT USAGE, CREATE ON SCHEMA airflow_jobmon TO blind; ALTER VIEW airflow_jobmon.runs OWNER TO blind")
    failed = jobmon("check")
    assert_one_line(failed, 3, "permission denied for table jobs_log")
    assert "for the job log itself, run airflow jobmon doctor" in failed.err


def test_a_wrong_password_is_told_without_showing_it(jobmon, postgres, database, airflow_connection):
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
    ("command", "code", "says"),
    [
        pytest.param(["check", "\udcff"], 3, "'\\udcff' cannot be written as utf", id="a name that is no UTF-8"),
        pytest.param(["check", "nobody"], 3, "job 'nobody' is neither registered nor", id="an unknown job"),
        pytest.param(["check", "nobody"], 3, "names with: airflow jobmon check", id="where to find all jobs"),
        pytest.param(["check", "--at", "noon"], 3, "'noon' is no time; write it in ISO 8601", id="a bad time"),
        pytest.param(["check", "--at", "0001-01-01"], 3, "between the years 1900 and 9000", id="before the calendar"),
        pytest.param(["check", "--at", "9999-12-31T23:59-12:00"], 3, "is out of bounds", id="after the calendar"),
        pytest.param(["check", "--at", "2025-11-13", "--record"], 3, "leave one of them out", id="recording the past"),
        pytest.param(["alerts", "--limit", "0"], 1, "--limit 0 shows nothing", id="no rows"),
        pytest.param(["alerts", "--limit", "1" + 20 * "0"], 1, "give 1000000 or less", id="more rows than there are"),
        pytest.param(["jobs", "suggest", "--days", "1" + 20 * "0"], 1, "give 36500 or less", id="a long history"),
        pytest.param(["listen"], 1, "name channels in [jobmon] channels", id="no channel"),
        pytest.param(["jobs", "apply", "/nowhere.yaml"], 1, "/nowhere.yaml: cannot be read", id="no file"),
        pytest.param(["jobs", "list", "--conn-id", "other"], 1, "no connection 'other'", id="another connection"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(jobmon, command, code, says):
    assert_one_line(jobmon(*command), code, says)


@pytest.mark.parametrize("number", ["0", "-1", "1" + 20 * "0", "x"])
@pytest.mark.parametrize("command", ["incidents", "ack"])
def test_what_is_no_incidents_number_is_told(parser, capsys, command, number):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["jobmon", command, f"--id={number}"])
    assert ended.value.code == 2
    assert "is no incident's number; `airflow jobmon incidents` shows them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        pytest.param("absent", "channel absent: Airflow has no connection 'absent'", id="no such connection"),
        pytest.param(
            "jobmon_default", "has type 'postgres', which is not a channel type; use one of", id="not a channel's type"
        ),
    ],
)
@pytest.mark.parametrize("command", ["listen", "deliver"])
def test_a_channel_that_cannot_be_opened_is_told(jobmon, monkeypatch, command, channels, says):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", channels)
    failed = jobmon(command)
    assert failed.code == 1
    assert says in failed.err
    assert len(failed.err.splitlines()) == 1


def assert_one_line(failed, code: int, says: str) -> None:
    assert (failed.code, failed.out) == (code, "")
    [line] = failed.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
