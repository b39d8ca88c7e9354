from __future__ import annotations

import json
import socket

import pytest

from tests.support.logged_runs import log_run
from tests.support.moments import ago


@pytest.mark.parametrize(
    ("statuses", "code", "status"),
    [
        pytest.param([], 3, "unknown", id="no jobs at all"),
        pytest.param(["success"], 0, "ok", id="a success"),
        pytest.param(["success", "failed"], 2, "critical", id="a failure"),
        pytest.param(["success", "paused"], 3, "unknown", id="an unknown status word"),
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


def test_check_names_the_given_jobs_that_are_disabled(jobmon, conn, tmp_path):
    (tmp_path / "jobs.yaml").write_text("jobs: [{name: resting, enabled: false}]")
    assert jobmon("jobs", "apply", str(tmp_path / "jobs.yaml")).code == 0
    checked = jobmon("check", "resting")
    assert checked.code == 3
    assert "not evaluated, because registered with enabled: false: resting" in checked.err
    log_run(conn, "nightly")
    assert (jobmon("check").code, jobmon("check").err) == (0, "")
    checked = jobmon("check", "nightly", "resting")
    assert checked.code == 0
    assert "enabled: false: resting" in checked.err


def test_check_only_reads_unless_it_records(jobmon, conn):
    log_run(conn, "nightly", "failed")
    counted = "SELECT (SELECT count(*) FROM airflow_jobmon.incidents), (SELECT count(*) FROM airflow_jobmon.job_state)"
    assert jobmon("check").code == 2
    assert conn.execute(counted).fetchone() == (0, 0)
    assert jobmon("check", "--record").code == 2
    assert conn.execute(counted).fetchone() == (1, 1)


def test_check_at_a_time_evaluates_the_log_as_of_that_time(jobmon, conn):
    log_run(conn, "nightly", started_at=ago(hours=3))
    log_run(conn, "nightly", "failed", started_at=ago(hours=1))
    assert jobmon("check", "nightly").code == 2
    before = jobmon("check", "nightly", "--at", ago(hours=2).isoformat(), "-o", "json")
    assert (before.code, json.loads(before.out)["jobs"][0]["last_run"]["status"]) == (0, "success")


def test_the_health_table_lists_the_worst_job_first(jobmon, conn):
    log_run(conn, "a-good-one")
    log_run(conn, "b-bad-one", "failed")
    lines = jobmon("check").out.splitlines()
    assert [line.split(" | ")[0].strip() for line in lines[2:4]] == ["critical", "ok"]


def test_migrate_prints_its_progress_to_stderr(jobmon, empty_database, airflow_connection):
    airflow_connection("jobmon_default", empty_database)
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


def test_dead_alerts_are_listed_and_retried(jobmon, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager")
    log_run(conn, "nightly", "failed", error_message="disk full")
    jobmon("check", "--record")
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = 'no such hook'")
    [dead] = json.loads(jobmon("alerts", "--state", "dead", "-o", "json").out)
    assert (dead["job_name"], dead["channel"], dead["last_error"]) == ("nightly", "pager", "no such hook")
    retried = jobmon("alerts", "--retry", "-o", "json")
    assert retried.err == "1 dead delivery set back to pending\n"
    assert [alert["state"] for alert in json.loads(retried.out)] == ["pending"]


def test_deliver_names_the_channel_that_failed_and_exits_with_1(jobmon, conn, monkeypatch):
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


def test_a_connection_stored_in_airflows_database_is_found(jobmon, airflow_home, postgres, conn):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    uri = postgres.uri(conn.info.dbname)
    with create_session() as session:
        session.add(Connection(conn_id="jobmon_stored", uri=uri))
    listed = jobmon("jobs", "list", "--conn-id", "jobmon_stored", "-o", "json")
    assert (listed.code, listed.out) == (0, "[]\n"), listed.err
