"""The drill operator and the DAGs that run drills, as Airflow runs them, while a watcher runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.operators import AlertDrillOperator
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings
from tests.support.drill_environment import sinks, watching
from tests.support.http_server import reply
from tests.support.logged_runs import log_run

DAGS = Path(__file__).parents[3] / "dags"
JOB = "update-installment-statuses"
CHANNELS = ("slack", "mail", "hook")


@pytest.fixture
def servers(monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", ",".join(CHANNELS))
    with sinks(monkeypatch) as found:
        yield found


@pytest.fixture
def watched(database, servers, jobmon_default):
    channels, _ = open_channels(CHANNELS)
    with watching(database, Settings(channels=CHANNELS, sweep_interval=timedelta(seconds=1)), channels):
        yield servers


def example(name: str) -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS / f"{name}.py"), bundle_name="dags-folder")
    assert bag.import_errors == {}
    return bag.dags[name]


def run_the_drill(run_dag, **given):
    with DAG(dag_id="drilling", schedule=None) as dag:
        AlertDrillOperator(task_id="drill", **{"job_name": JOB, **given})
    return outcome(run_dag(dag))


def outcome(dag_run):
    instance = dag_run.get_task_instance("drill")
    return str(instance.state), {step["step"]: step for step in instance.xcom_pull(task_ids="drill") or ()}


@pytest.mark.parametrize("drill", ["failure", "missed"])
def test_the_alert_test_dag_runs_the_drill_chosen_in_its_form(run_dag, conn, watched, drill):
    apply_jobs(conn, [MonitoredJob(name="nightly", schedule="0 2 * * *")], source="test")
    log_run(conn, "nightly")
    state, steps = outcome(run_dag(example("jobmon_alert_test"), run_conf={"drill": drill, "job_name": "nightly"}))
    assert state == "success"
    assert all(steps[f"accepted by {name}"]["ok"] for name in CHANNELS)
    assert set(steps["accepted by mail"]) == {"step", "expected", "observed", "seconds", "ok"}
    kind = {"failure": "Failed", "missed": "Missed"}[drill]
    assert f"TEST ALERT - Job {kind}: nightly" in watched.slack.requests[0].json["text"]


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        pytest.param({"drill": "end-to-end"}, "'end-to-end' is not one of", id="another drill"),
        pytest.param({"job_name": ""}, "'' should be non-empty", id="no job"),
        pytest.param({"job_name": "   "}, "does not match", id="a blank job"),
        pytest.param({"job_name": None}, "None is not of type 'string'", id="null"),
        pytest.param({"job_name": "x" * 501}, "is too long", id="endless"),
    ],
)
def test_the_form_of_the_alert_test_refuses_invalid_values(run_dag, conn, jobmon_default, conf, said):
    with pytest.raises((ParamValidationError, ValueError), match=said):
        run_dag(example("jobmon_alert_test"), run_conf=conf)
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drills").fetchone() == (0,)


def test_the_form_of_the_end_to_end_test_refuses_an_invalid_connection_id(run_dag, jobmon_default):
    with pytest.raises((ParamValidationError, ValueError), match="does not match"):
        run_dag(example("jobmon_end_to_end_test"), run_conf={"http_conn_id": "no; DROP"})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"drill": "{{ 'fire' }}"}, id="another drill"),
        pytest.param({"job_name": "{{ '' }}"}, id="no job"),
        pytest.param({"drill": "missed"}, id="missed, of an unknown job"),
        pytest.param({"drill": "end-to-end"}, id="end to end without a plan"),
        pytest.param({"drill": "end-to-end", "plan": {"trigger_sql": "SELECT 1", "expect": "x"}}, id="a plan amiss"),
        pytest.param({"within": "soon"}, id="no duration"),
        pytest.param({"within": timedelta(days=1)}, id="too long"),
        pytest.param({"conn_id": "no_such_connection"}, id="no such connection"),
    ],
)
def test_a_drill_that_cannot_run_fails_at_once_and_notifies_no_one(run_dag, conn, servers, jobmon_default, given):
    state, steps = run_the_drill(run_dag, **given)
    assert (state, steps) == ("failed", {})
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.alerts").fetchone() == (0,)


def test_a_dead_channel_fails_the_task_and_its_steps_are_in_xcom(run_dag, conn, watched):
    watched.slack.otherwise = reply(404, "no_service")
    state, steps = run_the_drill(run_dag)
    assert state == "failed"
    assert [name for name, step in steps.items() if not step["ok"]] == ["accepted by slack"]


def test_the_report_goes_to_the_given_channels(run_dag, conn, watched, monkeypatch):
    state, _ = run_the_drill(run_dag, channels=["hook"])
    assert state == "success"
    drill, report = watched.hook.requests
    assert drill.json["alerts"][0]["event"] == "test"
    assert "Alert Drill Passed" in report.body.decode()
    assert len(watched.slack.requests) == 1


def test_a_report_that_reaches_no_channel_fails_the_task(run_dag, conn, watched):
    assert run_the_drill(run_dag, channels="no_such_channel")[0] == "failed"


def test_without_a_watcher_it_delivers_by_itself_if_deliver_is_set(run_dag, conn, servers, jobmon_default):
    state, steps = run_the_drill(run_dag, deliver=True)
    assert state == "success"
    assert "evaluated by this drill itself" in steps["picked up by a watcher"]["observed"]
    assert len(servers.mail.mails) == 1


def test_no_text_from_a_run_is_rendered_as_a_template(run_dag, conn, watched):
    state, _ = run_the_drill(run_dag, job_name="{{ '{{ 7*7 }}' }}")
    assert state == "success"
    assert "{{ 7*7 }}" in watched.slack.requests[0].json["text"]
