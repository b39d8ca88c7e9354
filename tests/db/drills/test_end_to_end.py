"""Test 3 on the sample system: its real procedure runs, over HTTP as an edge function and by SQL, on test data."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from airflow_jobmon.core.drills.end_to_end import read_plan
from airflow_jobmon.drills.end_to_end import run_end_to_end_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.runtime.drill import _caller
from demo import sample
from demo.ports import free_port
from tests.support.database_rows import row_count
from tests.support.http_server import hang, reply
from tests.support.sample_system import JOB, edge_function, watched_system

SETUP = """
INSERT INTO installments (payment_plan_id, amount, student_due_date, status)
SELECT min(id), 100.00, CURRENT_DATE - INTERVAL '2 days', 'pending' FROM payment_plans
RETURNING id AS installment
"""
PLAN = {
    "setup_sql": SETUP,
    "trigger_sql": "CALL public.update_installment_statuses()",
    "check_sql": "SELECT status FROM installments WHERE id = %(installment)s",
    "expected": "overdue",
    "cleanup_sql": "DELETE FROM installments WHERE id = %(installment)s",
    "timeout": "60s",
}
BY_HTTP = {key: PLAN[key] for key in PLAN if key != "trigger_sql"} | {
    "http_conn_id": "edge_functions", "endpoint": "functions/v1/update-installment-statuses",
}  # fmt: skip


@pytest.fixture
def system(empty_database):
    watched_system(empty_database)
    return empty_database


@pytest.fixture
def conn(system):
    with connect(system) as found:
        yield found


@pytest.fixture
def edge(system, monkeypatch):
    with edge_function(system) as server:
        connect_to(monkeypatch, server.url)
        yield server


def connect_to(monkeypatch, url):
    fields = {"conn_type": "http", "host": url, "extra": {"Authorization": "Bearer service-role-key"}}
    monkeypatch.setenv("AIRFLOW_CONN_EDGE_FUNCTIONS", json.dumps(fields))


def run_the_drill(conn, where, fields, **changed):
    plan = read_plan({**fields, **changed}, source="plan")
    return run_end_to_end_drill(conn, JOB, plan, DrillOptions(lambda _: None), call=_caller(plan, where))


def failed(result) -> dict[str, str]:
    return {step.step: step.observed for step in result.steps if not step.ok}


def nothing_is_left(conn) -> bool:
    return row_count(conn, "installments") == row_count(conn, "airflow_jobmon.drill_leftovers") == 0


def test_the_job_is_called_as_an_edge_function_and_does_its_work(conn, system, edge):
    result = run_the_drill(conn, system, BY_HTTP)
    assert result.passed, result.failures
    assert [(step.step, step.expected, step.observed) for step in result.steps if step.seconds is None] == [
        ("test data created", "committed", "installment=1"),
        ("records_updated", ">= 1", "1"),
        ("job did its work", "overdue", "overdue"),
        ("test data removed", "nothing left behind", "removed"),
    ]
    [request] = edge.requests
    assert (request.method, request.path) == ("POST", "/functions/v1/update-installment-statuses")
    assert request.headers["Authorization"] == "Bearer service-role-key"
    assert nothing_is_left(conn)
    # Its run is a real one.
    assert conn.execute("SELECT status, records_updated, drill FROM airflow_jobmon.runs").fetchall() == [
        ("success", 1, False)
    ]


def test_the_job_is_called_by_sql(conn, system):
    result = run_the_drill(conn, system, PLAN)
    assert result.passed, result.failures
    assert nothing_is_left(conn)


def test_headers_and_a_body_are_sent_as_given(conn, system, edge):
    result = run_the_drill(conn, system, BY_HTTP, headers={"X-Try": "1"}, data={"only": [1, 2]}, method="PUT")
    assert result.passed, result.failures
    [request] = edge.requests
    assert (request.method, request.headers["X-Try"], request.json) == ("PUT", "1", {"only": [1, 2]})


@pytest.mark.parametrize("fields", [PLAN, BY_HTTP], ids=["by SQL", "by HTTP"])
def test_a_failing_job_fails_the_drill_and_the_test_data_is_removed(conn, system, edge, fields):
    sample.bank_answers(conn, answers=False)
    result = run_the_drill(conn, system, fields)
    assert "Connection timeout after 3 retries" in failed(result)["job called"]
    assert nothing_is_left(conn)


@pytest.mark.parametrize(
    ("changed", "step", "said"),
    [
        pytest.param({"expected": "paid"}, "job did its work", "overdue", id="another status"),
        pytest.param(
            {"check_sql": "SELECT status FROM installments WHERE id < 0"}, "job did its work", "no row", id="none"
        ),
        pytest.param(
            {"check_sql": "SELECT stauts FROM installments"}, "job did its work", "does not exist", id="bad SQL"
        ),
        pytest.param({"check_sql": "SELECT 1 WHERE %(other)s"}, "job did its work", "known are", id="a value unknown"),
        pytest.param({"min_records": 2}, "records_updated", "1", id="too few records"),
        pytest.param(
            {"trigger_sql": "SELECT 1", "timeout": "300ms", "check_sql": None, "expected": None},
            "run logged",
            "ended within",
            id="no run",
        ),
        pytest.param({"trigger_sql": "CALL no_such_job()"}, "job called", "does not exist", id="no such job"),
        pytest.param(
            {"trigger_sql": "SELECT pg_sleep(60)", "timeout": "1s"}, "job called", "took longer than 1s", id="too slow"
        ),
    ],
)
def test_a_failed_check_is_named_and_the_test_data_is_removed(conn, system, changed, step, said):
    result = run_the_drill(conn, system, PLAN, **changed)
    assert list(failed(result)) == [step]
    assert said in failed(result)[step]
    assert nothing_is_left(conn)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(reply(404, "Function not found"), "it answered 404 Whatever: Function not found", id="404"),
        pytest.param(reply(401, '{"message": "Invalid JWT"}'), "401", id="401"),
        pytest.param(hang, "the call failed", id="no answer"),
    ],
)
def test_an_error_response_to_the_call_is_quoted(conn, system, edge, answer, said):
    edge.otherwise = answer
    result = run_the_drill(conn, system, BY_HTTP, timeout="2s")
    assert said in failed(result)["job called"]
    assert nothing_is_left(conn)


def test_a_missing_function_is_named(conn, system, monkeypatch):
    connect_to(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert "connection 'edge_functions'" in failed(run_the_drill(conn, system, BY_HTTP))["job called"]
    monkeypatch.delenv("AIRFLOW_CONN_EDGE_FUNCTIONS")
    assert "edge_functions" in failed(run_the_drill(conn, system, BY_HTTP))["job called"]
    assert nothing_is_left(conn)


def test_setup_sql_that_fails_changes_nothing(conn, system):
    with pytest.raises(ConfigurationError, match="setup_sql: null value in column"):
        run_the_drill(conn, system, PLAN, setup_sql="INSERT INTO installments (amount) VALUES (1) RETURNING id")
    assert row_count(conn, "public.jobs_log") == 0
    assert nothing_is_left(conn)


def test_test_data_that_cannot_be_removed_is_left_to_the_next_drill(conn, system):
    conn.execute("CREATE TABLE receipts (installment_id bigint REFERENCES installments)")
    with connect(system) as theirs:
        check = "INSERT INTO receipts VALUES (%(installment)s) RETURNING 'overdue'"
        result = run_the_drill(theirs, system, PLAN, check_sql=check)
        assert list(failed(result)) == ["test data removed"]
        assert "violates foreign key constraint" in failed(result)["test data removed"]
    assert row_count(conn, "installments") == 1
    conn.execute("DELETE FROM receipts")
    wait_for_its_session_to_end(conn)
    again = run_the_drill(conn, system, PLAN)
    assert again.passed, again.failures
    assert again.steps[0].observed == f"end-to-end drill of {JOB}: its test data was removed"
    assert nothing_is_left(conn)


def test_several_statements_create_and_remove_test_data(conn, system):
    result = run_the_drill(
        conn,
        system,
        PLAN,
        setup_sql="""
            INSERT INTO agencies (name, time_zone) VALUES ('drill, 100 %%', 'UTC');
            INSERT INTO payment_plans (agency_id, student) SELECT max(id), 'drill' FROM agencies;
            INSERT INTO installments (payment_plan_id, amount, student_due_date)
            SELECT max(id), 1, current_date - 2 FROM payment_plans RETURNING id AS installment, payment_plan_id AS plan;
        """,
        cleanup_sql="""
            DELETE FROM installments WHERE id = %(installment)s;
            WITH gone AS (DELETE FROM payment_plans WHERE id = %(plan)s RETURNING agency_id)
            DELETE FROM agencies USING gone WHERE id = agency_id;
        """,
    )
    assert result.passed, result.failures
    assert row_count(conn, "agencies WHERE name LIKE 'drill%'") == 0


KILLED = """
import json, sys, time
from airflow_jobmon.core.drills.end_to_end import read_plan
from airflow_jobmon.drills.end_to_end import run_end_to_end_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.postgres.connect import connect

def hang(values):
    print("called", flush=True)
    time.sleep(600)

plan = read_plan(json.loads(sys.argv[2]), source="plan")
with connect(sys.argv[1]) as conn:
    run_end_to_end_drill(conn, sys.argv[3], plan, DrillOptions(lambda _: None), call=hang)
"""


def test_after_a_kill_the_next_drill_removes_only_its_test_data(conn, system):
    command = [sys.executable, "-c", KILLED, system, json.dumps(PLAN), JOB]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as drill:
        assert drill.stdout is not None
        assert drill.stdout.readline() == "called\n"
        drill.send_signal(signal.SIGKILL)
        drill.wait()
    conn.execute("INSERT INTO installments (payment_plan_id, amount, student_due_date) VALUES (1, 5, current_date + 9)")
    assert row_count(conn, "installments") == 2
    wait_for_its_session_to_end(conn)
    result = run_the_drill(conn, system, PLAN)
    assert result.passed, result.failures
    assert result.steps[0].step == "left by a killed drill"
    assert conn.execute("SELECT amount FROM installments").fetchall() == [(5,)]
    assert row_count(conn, "airflow_jobmon.drill_leftovers") == 0


def wait_for_its_session_to_end(conn) -> None:
    alive = (
        "SELECT count(*) FROM pg_stat_activity a JOIN airflow_jobmon.drills d ON d.backend_pid = a.pid"
        " WHERE d.ended_at IS NULL"
    )
    while conn.execute(alive).fetchone() != (0,):
        pass


def test_two_at_once_each_check_their_own(system, conn, edge):
    results = []

    def go():
        with connect(system) as own:
            results.append(run_the_drill(own, system, BY_HTTP, min_records=0))

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.passed for result in results] == [True, True], [result.failures for result in results]
    assert nothing_is_left(conn)
