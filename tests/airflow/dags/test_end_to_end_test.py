"""The DAG that tests the sample system's real job: setup, call, sensor, check, teardown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_jobmon.postgres.connect import connect
from demo import sample
from tests.support.http_server import reply
from tests.support.sample_system import edge_function, watched_system

DAG_FILE = Path(__file__).parents[3] / "dags" / "jobmon_end_to_end_test.py"


@pytest.fixture
def system(empty_database, airflow_connection):
    watched_system(empty_database)
    airflow_connection("jobmon_default", empty_database)
    return empty_database


@pytest.fixture
def edge(system, monkeypatch):
    with edge_function(system) as server:
        fields = {"conn_type": "http", "host": server.url, "extra": {"Authorization": "Bearer key"}}
        monkeypatch.setenv("AIRFLOW_CONN_EDGE", json.dumps(fields))
        yield server


@pytest.fixture
def run(run_dag):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAG_FILE), bundle_name="dags-folder")
    assert bag.import_errors == {}

    def run(conn_id: str = ""):
        dag_run = run_dag(bag.dags["jobmon_end_to_end_test"], run_conf={"http_conn_id": conn_id})
        states = {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}
        return str(dag_run.state), states

    return run


def counted(conninfo: str) -> tuple[int, ...]:
    with connect(conninfo) as conn:
        return conn.execute(
            "SELECT (SELECT count(*) FROM agencies), (SELECT count(*) FROM payment_plans),"
            " (SELECT count(*) FROM installments)"
        ).fetchone()


@pytest.mark.parametrize("by", ["edge", ""], ids=["as an edge function", "by SQL"])
def test_it_passes_and_leaves_only_a_real_run(run, system, edge, by):
    before = counted(system)
    state, states = run(by)
    assert (state, set(states.values())) == ("success", {"success"})
    assert set(states) == {"make_test_data", "call_job", "wait_for_run", "check_result", "remove_test_data"}
    assert len(edge.requests) == (by == "edge")
    assert counted(system) == before
    with connect(system) as conn:
        assert conn.execute("SELECT status, records_updated FROM jobs_log").fetchall() == [("success", 1)]


def test_a_failing_job_fails_it_and_removes_the_test_data(run, system, edge):
    with connect(system) as conn:
        sample.bank_answers(conn, answers=False)
    before = counted(system)
    state, states = run()
    assert (state, states["call_job"], states["remove_test_data"]) == ("failed", "failed", "success")
    assert counted(system) == before


def test_a_job_that_runs_and_updates_nothing_fails_it(run, system, edge):
    with connect(system) as conn:
        conn.execute("DROP TABLE bank_gateway CASCADE; DROP FUNCTION ask_bank CASCADE")
        conn.execute("CREATE FUNCTION ask_bank(agency_id bigint) RETURNS void LANGUAGE sql AS ''")
        conn.execute("CREATE RULE nothing AS ON UPDATE TO installments DO INSTEAD NOTHING")
    before = counted(system)
    state, states = run("edge")
    assert (state, states["wait_for_run"], states["remove_test_data"]) == ("failed", "failed", "success")
    assert counted(system) == before


def test_a_function_that_refuses_the_call_fails_it(run, system, edge):
    edge.otherwise = reply(401, "no")
    before = counted(system)
    state, states = run("edge")
    assert (state, states["call_job"]) == ("failed", "failed")
    assert counted(system) == before
