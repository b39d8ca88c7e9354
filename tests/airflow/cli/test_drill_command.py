"""`airflow jobmon drill`: the table that people read, the JSON that scripts read, and what it exits with."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings
from tests.support.drill_environment import sinks, watching
from tests.support.logged_runs import log_run
from tests.support.sample_system import JOB, edge_function, watched_system
from tests.support.servers import reply

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
    held = jobmon("drill", "failure", "--job", "nightly", "-o", "plain")
    assert held.code == 0, held.err
    lines = held.out.splitlines()
    assert lines[0].split() == ["step", "expected", "observed", "seconds", "ok"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "failed run logged", "taken by a watcher", "told as it is", "counted nowhere",
        "accepted by hook", "accepted by mail", "accepted by slack", "cleaned up",
    ]  # fmt: skip
    assert held.err == "holding the failure drill for nightly\npassed (8 steps)\n"
    told = json.loads(jobmon("alerts", "-o", "json").out)
    assert {(row["channel"], row["event"], row["state"]) for row in told} == {
        (name, "test", "sent") for name in CHANNELS
    }


def test_json_holds_all_of_it(jobmon, conn, watched):
    held = json.loads(jobmon("drill", "failure", "--job", "nightly", "-o", "json").out)
    assert (held["drill"], held["job_name"], held["passed"]) == ("failure", "nightly", True)
    assert set(held["steps"][0]) == {"step", "expected", "observed", "seconds", "ok"}


def test_a_dead_channel_is_named_and_it_exits_with_1(jobmon, conn, watched):
    watched.slack.otherwise = reply(404, "no_service")
    held = jobmon("drill", "failure", "--job", "nightly", "-o", "json")
    assert held.code == 1
    assert "failed: accepted by slack: refused for good: " in held.err
    assert {step["step"]: step["ok"] for step in json.loads(held.out)["steps"]}["accepted by mail"]


def test_where_nobody_watches_it_exits_with_1_unless_it_delivers_by_itself(jobmon, conn, servers):
    held = jobmon("drill", "failure", "--job", "nightly", "--within", "300ms")
    assert held.code == 1
    assert "no watcher is alive; start airflow jobmon listen" in held.err
    assert jobmon("drill", "failure", "--job", "nightly", "--deliver").code == 0


def test_a_missed_drill_by_command(jobmon, conn, watched, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    log_run(conn, "nightly")
    held = jobmon("drill", "missed", "--job", "nightly")
    assert held.code == 0, held.err
    assert "critical: missed" in held.out


def test_a_silence_does_not_hold_a_drill_back(jobmon, conn, watched, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    log_run(conn, "nightly")
    assert jobmon("silence", "nightly", "--for", "2h", "--reason", "maintenance").code == 0
    for drill in ("failure", "missed"):
        held = jobmon("drill", drill, "--job", "nightly")
        assert held.code == 0, held.err


def test_an_end_to_end_drill_by_command(jobmon, empty_database, airflow_connection, monkeypatch, tmp_path, servers):
    watched_system(empty_database)
    airflow_connection("jobmon_default", empty_database)
    (tmp_path / "plan.yaml").write_text(PLAN)
    with edge_function(empty_database) as server:
        monkeypatch.setenv("AIRFLOW_CONN_EDGE_FUNCTIONS", json.dumps({"conn_type": "http", "host": server.url}))
        held = jobmon("drill", "end-to-end", "--job", JOB, "--plan", tmp_path / "plan.yaml", "-o", "json")
        assert held.code == 0, held.err
        server.otherwise = reply(503, "down")
        held = jobmon("drill", "end-to-end", "--job", JOB, "--plan", tmp_path / "plan.yaml", "-o", "json")
    assert held.code == 1
    assert "job called: connection 'edge_functions': it answered 503" in held.err
    assert json.loads(held.out)["steps"][-1]["observed"] == "it is removed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("- a list", "a plan is a mapping of", id="a list"),
        pytest.param("trigger_sql: [", "is no YAML", id="no YAML"),
        pytest.param("[" * 100_000, "is no YAML", id="nested too deep"),
        pytest.param("trigger_sql: 2026-13-01", "is no YAML", id="a date that there is not"),
        pytest.param("check: x", "check: no such field; did you mean 'check_sql'?", id="a field misspelt"),
        pytest.param("expected: x", "either trigger_sql or http_conn_id", id="no call"),
        pytest.param("{trigger_sql: a, http_conn_id: b}", "either trigger_sql or http_conn_id", id="two calls"),
        pytest.param("{trigger_sql: a, setup_sql: b}", "nothing removes; give cleanup_sql", id="no cleanup"),
        pytest.param("{trigger_sql: a, check_sql: b}", "check_sql and expected go together", id="no expectation"),
        pytest.param("{trigger_sql: a, endpoint: b}", "are for a call by HTTP", id="an endpoint without HTTP"),
        pytest.param("{trigger_sql: a, method: DELETE}", "'DELETE' calls no job", id="a method"),
        pytest.param("{trigger_sql: a, timeout: 2d}", "timeout: ", id="endless"),
        pytest.param("{trigger_sql: a, min_records: many}", "min_records: ", id="no number"),
    ],
)
def test_a_plan_that_cannot_be_held_is_refused_with_what_is_wrong(jobmon, conn, tmp_path, text, said):
    (tmp_path / "plan.yaml").write_text(text)
    held = jobmon("drill", "end-to-end", "--job", "nightly", "--plan", tmp_path / "plan.yaml")
    assert (held.code, held.out) == (1, "")
    assert held.err.splitlines()[-1].startswith(f"error: {tmp_path}/plan.yaml")
    assert said in held.err
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drills").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["failure", "--job", ""], "job_name is ''", id="no name"),
        pytest.param(["failure", "--job", " "], "which is blank", id="a blank name"),
        pytest.param(["failure", "--job", "a", "--within", "90"], "is no duration", id="no unit"),
        pytest.param(["failure", "--job", "a", "--within", "2d"], "is no time to wait; give at most 1h", id="too long"),
        pytest.param(["missed", "--job", "a"], "neither registered nor in public.jobs_log", id="unknown job"),
        pytest.param(["missed", "--job", "a", "--cron-job", "b"], "it goes with --unschedule", id="cron job alone"),
        pytest.param(
            ["end-to-end", "--job", "a", "--plan", "/no/such"], "/no/such: cannot be read (No such file", id="no file"
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_line(jobmon, arguments, said):
    held = jobmon("drill", *arguments)
    assert (held.code, held.out) == (1, "")
    assert said in held.err.splitlines()[-1]
