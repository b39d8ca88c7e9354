"""The commands as Airflow's own parser calls them, and a few as real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo
from tests.airflow.conftest import airflow_uri
from tests.runs import log_run

AIRFLOW = Path(sys.executable).with_name("airflow")
JOBS = "jobs:\n- name: nightly\n  every: 1d\n- {name: often, every: 15m, owner: billing}\n"


@pytest.fixture(scope="module")
def parser(airflow_home):
    from airflow.cli.cli_parser import get_parser

    return get_parser()


@pytest.fixture
def jobmon(parser, jobmon_default, monkeypatch, capsys):
    """Call a command; what it exits with, says and complains."""
    # Set by the commands: remembered here, so that it ends with the test.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")

    def call(*args: str) -> Namespace:
        parsed = parser.parse_args(["jobmon", *args])
        capsys.readouterr()
        try:
            parsed.func(parsed)
            code = 0
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Namespace(code=code, out=said.out, err=said.err)

    return call


@pytest.fixture
def jobs_file(tmp_path) -> Path:
    path = tmp_path / "jobs.yaml"
    path.write_text(JOBS)
    return path


def ago(**given: float) -> datetime:
    return datetime.now(UTC) - timedelta(**given)


@pytest.mark.parametrize(
    ("statuses", "code", "status"),
    [
        pytest.param([], 3, "unknown", id="no jobs at all"),
        pytest.param(["success"], 0, "ok", id="a success"),
        pytest.param(["success", "failed"], 2, "critical", id="a failure"),
        pytest.param(["success", "paused"], 3, "unknown", id="a word that nobody knows"),
    ],
)
def test_check_exits_as_monitoring_plugins_do(jobmon, conn, statuses, code, status):
    for number, word in enumerate(statuses):
        log_run(conn, f"job-{number}", word)
    checked = jobmon("check", "-o", "json")
    assert (checked.code, json.loads(checked.out)["status"]) == (code, status)


def test_check_exits_with_1_for_a_warning(jobmon, conn, tmp_path):
    (tmp_path / "jobs.yaml").write_text("jobs: [{name: slow, max_duration: 1s}]")
    assert jobmon("jobs", "apply", str(tmp_path / "jobs.yaml")).code == 0
    log_run(conn, "slow", seconds=5)
    assert jobmon("check", "slow").code == 1


def test_check_reads_only_unless_it_records(jobmon, conn):
    log_run(conn, "nightly", "failed")
    counted = "SELECT (SELECT count(*) FROM airflow_jobmon.incidents), (SELECT count(*) FROM airflow_jobmon.job_state)"
    assert jobmon("check").code == 2
    assert conn.execute(counted).fetchone() == (0, 0)
    assert jobmon("check", "--record").code == 2
    assert conn.execute(counted).fetchone() == (1, 1)


def test_check_at_a_time_sees_what_the_log_showed_then(jobmon, conn):
    log_run(conn, "nightly", started_at=ago(hours=3))
    log_run(conn, "nightly", "failed", started_at=ago(hours=1))
    assert jobmon("check", "nightly").code == 2
    before = jobmon("check", "nightly", "--at", ago(hours=2).isoformat(), "-o", "json")
    assert (before.code, json.loads(before.out)["jobs"][0]["last_run"]["status"]) == (0, "success")


def test_a_table_of_health_names_the_worst_job_first(jobmon, conn):
    log_run(conn, "a-good-one")
    log_run(conn, "b-bad-one", "failed")
    lines = jobmon("check").out.splitlines()
    assert [line.split(" | ")[0].strip() for line in lines[2:4]] == ["critical", "ok"]


def test_applied_jobs_are_listed_with_their_source(jobmon, jobs_file):
    applied = jobmon("jobs", "apply", str(jobs_file), "-o", "json")
    assert json.loads(applied.out) == [
        {"job_name": "nightly", "change": "added"},
        {"job_name": "often", "change": "added"},
    ]
    listed = yaml.safe_load(jobmon("jobs", "list", "-o", "yaml").out)
    assert [(job["name"], job["source"], job["every"], job["owner"]) for job in listed] == [
        ("nightly", "file:jobs.yaml", "1d", None),
        ("often", "file:jobs.yaml", "15m", "billing"),
    ]
    assert json.loads(jobmon("jobs", "apply", str(jobs_file), "-o", "json").out)[0]["change"] == "unchanged"


def test_a_job_of_another_source_is_refused(jobmon, jobs_file, tmp_path):
    jobmon("jobs", "apply", str(jobs_file))
    other = tmp_path / "other.yaml"
    other.write_text("jobs: [{name: new}, {name: often}]")
    refused = jobmon("jobs", "apply", str(other))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: job 'often' is registered by file:jobs.yaml, so file:other.yaml cannot")
    assert "new" not in jobmon("jobs", "list").out


def test_migrate_tells_its_progress_on_stderr(jobmon, empty_database, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", airflow_uri(empty_database))
    first = jobmon("migrate", "--create-jobs-log")
    assert (first.code, first.out) == (0, "")
    assert "applied migration 0001_schema" in first.err
    assert jobmon("migrate").code == 0
    assert jobmon("jobs", "list", "-o", "json").out == "[]\n"


def test_migrate_prints_sql_without_a_database(jobmon, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    printed = jobmon("migrate", "--sql")
    assert (printed.code, printed.err) == (0, "")
    assert "CREATE TABLE airflow_jobmon.jobs" in printed.out


def test_alerts_that_are_dead_are_listed_and_retried(jobmon, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager")
    log_run(conn, "nightly", "failed", error_message="disk full")
    jobmon("check", "--record")
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = 'no such hook'")
    [dead] = json.loads(jobmon("alerts", "--state", "dead", "-o", "json").out)
    assert (dead["job_name"], dead["channel"], dead["last_error"]) == ("nightly", "pager", "no such hook")
    retried = jobmon("alerts", "--retry", "-o", "json")
    assert retried.err == "1 dead delivery is pending again\n"
    assert [alert["state"] for alert in json.loads(retried.out)] == ["pending"]


def test_incidents_are_listed(jobmon, conn):
    log_run(conn, "nightly", "failed")
    jobmon("check", "--record")
    [incident] = json.loads(jobmon("incidents", "--job", "nightly", "-o", "json").out)
    assert (incident["job_name"], incident["kind"], incident["resolved_at"]) == ("nightly", "failed", None)
    none = jobmon("incidents", "--job", "other")
    assert (none.code, none.out, none.err) == (0, "", "no open incidents\n")


def test_deliver_says_which_channel_did_not_take_it_and_exits_with_1(jobmon, conn, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        monkeypatch.setenv("AIRFLOW_CONN_PAGER", json.dumps({"conn_type": "http", "host": address}))
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager, absent")
        assert jobmon("deliver").code == 1
        log_run(conn, "nightly", "failed")
        jobmon("check", "--record")
        delivered = jobmon("deliver", "-o", "json")
    assert delivered.code == 1
    rows = {row["channel"]: row for row in json.loads(delivered.out)}
    assert rows["pager"]["failed"] >= 1
    assert "Airflow has no connection 'absent'" in rows["absent"]["error"]


# Bad input: one line that says what to do, an exit code, nothing on stdout, nothing changed.


def no_connection(conninfo, conn, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")


def connection_of_another_type(conninfo, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", "mysql://h/d")


def unknown_role(conninfo, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", airflow_uri(make_conninfo(conninfo, user="nobody-here")))


def server_down(conninfo, conn, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", airflow_uri(make_conninfo(conninfo, port=port)))


def not_migrated(conninfo, conn, monkeypatch):
    conn.execute("DROP SCHEMA airflow_jobmon CASCADE")


def newer_schema(conninfo, conn, monkeypatch):
    conn.execute("INSERT INTO airflow_jobmon.migrations (version, name) VALUES (9999, 'later')")


def bad_duration(conninfo, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__SWEEP_INTERVAL", "30")


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        pytest.param(no_connection, "Airflow has no connection 'jobmon_default'; add it under", id="no connection"),
        pytest.param(connection_of_another_type, "the job log needs one of type 'postgres'", id="connection type"),
        pytest.param(unknown_role, "check the connection's login", id="unknown role"),
        pytest.param(server_down, "is the server running there?", id="server down"),
        pytest.param(not_migrated, "run `airflow jobmon migrate`", id="not migrated"),
        pytest.param(newer_schema, "newer", id="newer schema"),
        pytest.param(bad_duration, "[jobmon] sweep_interval: '30' is no duration", id="bad duration"),
    ],
)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(["check"], 3, id="check"),
        pytest.param(["check", "--record"], 3, id="check --record"),
        pytest.param(["listen"], 1, id="listen"),
        pytest.param(["deliver"], 1, id="deliver"),
        pytest.param(["alerts", "--retry"], 1, id="alerts"),
        pytest.param(["incidents"], 1, id="incidents"),
        pytest.param(["jobs", "list"], 1, id="jobs list"),
        pytest.param(["jobs", "apply", "FILE"], 1, id="jobs apply"),
    ],
)
def test_what_is_wrong_with_the_database_is_told_in_one_line(
    jobmon, database, conn, jobs_file, monkeypatch, trouble, says, command, code
):
    trouble(database, conn, monkeypatch)
    failed = jobmon(*(str(jobs_file) if word == "FILE" else word for word in command))
    assert_one_line(failed, code, says)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        pytest.param(["check", "nobody"], 3, "job 'nobody' is neither registered nor", id="an unknown job"),
        pytest.param(["check", "--at", "noon"], 3, "'noon' is no time; write it in ISO 8601", id="a bad time"),
        pytest.param(["check", "--at", "2025-11-13", "--record"], 3, "leave one of them out", id="recording the past"),
        pytest.param(["alerts", "--limit", "0"], 1, "--limit 0 shows nothing", id="no rows"),
        pytest.param(["listen"], 1, "name channels in [jobmon] channels", id="no channel"),
        pytest.param(["jobs", "apply", "/nowhere.yaml"], 1, "/nowhere.yaml: cannot be read", id="no file"),
        pytest.param(["jobs", "list", "--conn-id", "other"], 1, "no connection 'other'", id="another connection"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(jobmon, command, code, says):
    assert_one_line(jobmon(*command), code, says)


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        pytest.param("absent", "channel absent: Airflow has no connection 'absent'", id="no such connection"),
        pytest.param(
            "jobmon_default", "has type 'postgres', which is no channel; use one of", id="not a channel's type"
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


# As real processes: what only those can show.


@pytest.fixture
def process_environment(airflow_home, database, monkeypatch):
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT", raising=False)
    return {
        **os.environ,
        "AIRFLOW_CONN_JOBMON_DEFAULT": airflow_uri(database),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }


def test_stdout_carries_nothing_but_the_result_even_while_airflow_logs_everything(process_environment, conn):
    log_run(conn, "nightly", "failed")
    done = subprocess.run(
        [AIRFLOW, "jobmon", "check", "--record", "-o", "json"],
        env=process_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["status"] == "critical"


def test_a_database_that_vanishes_midway_is_one_line_too(process_environment, conn):
    conn.execute("ALTER TABLE airflow_jobmon.alerts RENAME TO gone")
    done = subprocess.run(
        [AIRFLOW, "jobmon", "alerts"],
        env={**process_environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert 'error: the database says: relation "airflow_jobmon.alerts" does not exist' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_listen_runs_until_it_is_told_to_stop_and_leaves_nothing_behind(process_environment, conn, number):
    environment = {
        **process_environment,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__JOBMON__CHANNELS": "hook",
        "AIRFLOW_CONN_HOOK": '{"conn_type": "http", "host": "http://127.0.0.1:9/"}',
    }
    with subprocess.Popen(
        [AIRFLOW, "jobmon", "listen"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listening:
        said = []
        for line in listening.stderr:
            said.append(line)
            if "watching" in line:
                listening.send_signal(number)
        assert (listening.wait(30), listening.stdout.read()) == (0, ""), "".join(said)
    assert said[-1].endswith("stopped\n")
    assert [line for line in said if not re.match(r"\d{4}-\d\d-\d\d .* (INFO|WARNING|ERROR) +\S", line)] == []
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (0,)


def test_a_connection_of_airflows_own_database_is_found(process_environment, airflow_home, database):
    del process_environment["AIRFLOW_CONN_JOBMON_DEFAULT"]
    added = subprocess.run(
        [AIRFLOW, "connections", "add", "jobmon_stored", "--conn-json", airflow_uri(database)],
        env=process_environment,
        capture_output=True,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    done = subprocess.run(
        [AIRFLOW, "jobmon", "jobs", "list", "--conn-id", "jobmon_stored", "-o", "json"],
        env=process_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_wrong_password_is_told_without_showing_it(process_environment, postgres, database):
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
        hba = postgres.data / "pg_hba.conf"
        trusting = hba.read_text()
        hba.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{trusting}")
        admin.execute("SELECT pg_reload_conf()")
        try:
            wrong = airflow_uri(make_conninfo(database, user="careful", password="wr0ng-secret"))
            done = subprocess.run(
                [AIRFLOW, "jobmon", "check"],
                env={
                    **process_environment,
                    "AIRFLOW_CONN_JOBMON_DEFAULT": wrong,
                    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
                },
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            hba.write_text(trusting)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP ROLE careful")
    assert (done.returncode, done.stdout) == (3, "")
    assert "correct the login and password of the connection" in done.stderr
    assert "wr0ng-secret" not in done.stderr
