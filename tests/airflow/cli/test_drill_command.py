"""`airflow jobmon drill`: its table, its JSON and its exit codes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings
from tests.support.drill_environment import sinks, watching
from tests.support.http_server import reply
from tests.support.logged_runs import log_run
from tests.support.sample_system import JOB, edge_function, watched_system

CHANNELS = ("slack", "mail", "hook")
PLAN = """
setup_sql: |
  INSERT INTO installments (payment_plan_id, amount, student_due_date)
  SELECT min(id), 100, current_date - 2 FROM payment_plans RETURNING id AS installment
http_conn_id: edge_functions
endpoint: functions/v1/update-installment-statuses
check_sql: SELECT status FROM installments WHERE id = %(installment)s
expected: overdue
cleanup_sql: DELETE FROM installments WHERE id = %(installment)s
"""


@pytest.fixture
def servers(monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", ",".join(CHANNELS))
    with sinks(monkeypatch) as found:
        yield found


@pytest.fixture
def watched(database, servers):
    channels, _ = open_channels(CHANNELS)
    with watching(database, Settings(channels=CHANNELS, sweep_interval=timedelta(seconds=1)), channels):
        yield servers


def test_a_failure_drill_prints_each_step_and_exits_with_0(jobmon, conn, watched):
    drilled = jobmon("drill", "failure", "--job", "nightly", "-o", "plain")
    assert drilled.code == 0, drilled.err
    lines = drilled.out.splitlines()
    assert lines[0].split() == ["step", "expected", "observed", "seconds", "ok"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "failed run logged", "picked up by a watcher", "alert names job and error", "no incident opened",
        "accepted by hook", "accepted by mail", "accepted by slack", "cleaned up",
    ]  # fmt: skip
    assert drilled.err == "running the failure drill for nightly\npassed (8 steps)\n"
    alerts = json.loads(jobmon("alerts", "-o", "json").out)
    assert {(row["channel"], row["event"], row["state"]) for row in alerts} == {
        (name, "test", "sent") for name in CHANNELS
    }


def test_json_has_every_field(jobmon, conn, watched):
    drilled = json.loads(jobmon("drill", "failure", "--job", "nightly", "-o", "json").out)
    assert (drilled["drill"], drilled["job_name"], drilled["passed"]) == ("failure", "nightly", True)
    assert set(drilled["steps"][0]) == {"step", "expected", "observed", "seconds", "ok"}


def test_a_dead_channel_is_named_with_exit_code_1(jobmon, conn, watched):
    watched.slack.otherwise = reply(404, "no_service")
    drilled = jobmon("drill", "failure", "--job", "nightly", "-o", "json")
    assert drilled.code == 1
    assert "failed: accepted by slack: refused for good: " in drilled.err
    assert {step["step"]: step["ok"] for step in json.loads(drilled.out)["steps"]}["accepted by mail"]


def test_without_a_watcher_a_drill_exits_with_1_unless_it_delivers_by_itself(jobmon, conn, servers):
    drilled = jobmon("drill", "failure", "--job", "nightly", "--within", "300ms")
    assert drilled.code == 1
    assert "no watcher is running; start airflow jobmon listen" in drilled.err
    assert jobmon("drill", "failure", "--job", "nightly", "--deliver").code == 0


def test_the_missed_drill(jobmon, conn, watched, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    log_run(conn, "nightly")
    drilled = jobmon("drill", "missed", "--job", "nightly")
    assert drilled.code == 0, drilled.err
    assert "critical: missed" in drilled.out


def test_a_silence_does_not_stop_a_drill(jobmon, conn, watched, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    log_run(conn, "nightly")
    assert jobmon("silence", "nightly", "--for", "2h", "--reason", "maintenance").code == 0
    for drill in ("failure", "missed"):
        drilled = jobmon("drill", drill, "--job", "nightly")
        assert drilled.code == 0, drilled.err


def test_the_end_to_end_drill(jobmon, empty_database, airflow_connection, monkeypatch, tmp_path, servers):
    watched_system(empty_database)
    airflow_connection("jobmon_default", empty_database)
    (tmp_path / "plan.yaml").write_text(PLAN)
    with edge_function(empty_database) as server:
        monkeypatch.setenv("AIRFLOW_CONN_EDGE_FUNCTIONS", json.dumps({"conn_type": "http", "host": server.url}))
        drilled = jobmon("drill", "end-to-end", "--job", JOB, "--plan", tmp_path / "plan.yaml", "-o", "json")
        assert drilled.code == 0, drilled.err
        server.otherwise = reply(503, "down")
        drilled = jobmon("drill", "end-to-end", "--job", JOB, "--plan", tmp_path / "plan.yaml", "-o", "json")
    assert drilled.code == 1
    assert "job called: connection 'edge_functions': it answered 503" in drilled.err
    assert json.loads(drilled.out)["steps"][-1]["observed"] == "removed"


@pytest.mark.parametrize(
    ("text", "expected_error"),
    [
        pytest.param("- a list", "a plan is a mapping of", id="a list"),
        pytest.param("trigger_sql: [", "is not valid YAML", id="not YAML"),
        pytest.param("[" * 100_000, "is not valid YAML", id="nested too deep"),
        pytest.param("trigger_sql: 2026-13-01", "is not valid YAML", id="an invalid date"),
        pytest.param("check: x", "check: no such field; did you mean 'check_sql'?", id="a field misspelt"),
        pytest.param("expected: x", "either trigger_sql or http_conn_id", id="no call"),
        pytest.param("{trigger_sql: a, http_conn_id: b}", "either trigger_sql or http_conn_id", id="two calls"),
        pytest.param("{trigger_sql: a, setup_sql: b}", "nothing removes; give cleanup_sql", id="no cleanup"),
        pytest.param("{trigger_sql: a, check_sql: b}", "check_sql and expected go together", id="no expectation"),
        pytest.param("{trigger_sql: a, endpoint: b}", "are for a call by HTTP", id="an endpoint without HTTP"),
        pytest.param("{trigger_sql: a, method: DELETE}", "method 'DELETE' cannot call a job", id="a method"),
        pytest.param("{trigger_sql: a, timeout: 2d}", "timeout: ", id="endless"),
        pytest.param("{trigger_sql: a, min_records: many}", "min_records: ", id="no number"),
    ],
)
def test_an_invalid_plan_is_refused_with_the_reason(jobmon, conn, tmp_path, text, expected_error):
    (tmp_path / "plan.yaml").write_text(text)
    drilled = jobmon("drill", "end-to-end", "--job", "nightly", "--plan", tmp_path / "plan.yaml")
    assert (drilled.code, drilled.out) == (1, "")
    assert drilled.err.splitlines()[-1].startswith(f"error: {tmp_path}/plan.yaml")
    assert expected_error in drilled.err
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drills").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "expected_error"),
    [
        pytest.param(["failure", "--job", ""], "job_name is ''", id="no name"),
        pytest.param(["failure", "--job", " "], "which is blank", id="a blank name"),
        pytest.param(["failure", "--job", "a", "--within", "90"], "is not a valid duration", id="no unit"),
        pytest.param(["failure", "--job", "a", "--within", "2d"], "give more than 0s and at most 1h", id="too long"),
        pytest.param(["missed", "--job", "a"], "neither registered nor in public.jobs_log", id="unknown job"),
        pytest.param(["missed", "--job", "a", "--cron-job", "b"], "so it needs --unschedule", id="cron job alone"),
        pytest.param(
            ["end-to-end", "--job", "a", "--plan", "/no/such"], "/no/such: cannot be read (No such file", id="no file"
        ),
    ],
)
def test_bad_input_is_a_one_line_error(jobmon, arguments, expected_error):
    drilled = jobmon("drill", *arguments)
    assert (drilled.code, drilled.out) == (1, "")
    assert expected_error in drilled.err.splitlines()[-1]
