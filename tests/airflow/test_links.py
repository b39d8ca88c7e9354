"""The link from a task to the page of its job, as Airflow stores it and shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from airflow_jobmon.links import JobPageLink
from airflow_jobmon.operators import JobHealthOperator
from airflow_jobmon.sensors import JobsLogSensor
from tests.support.logged_runs import log_run


@pytest.fixture(autouse=True)
def under_a_path(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/")


def link_of(run_dag, make):
    with DAG(dag_id="linked", schedule=None, params={"job": "a/b & c"}) as dag:
        make()
    run = run_dag(dag)
    return run.get_task_instance("task").xcom_pull(task_ids="task", key=JobPageLink().xcom_key)


@pytest.mark.parametrize(
    ("make", "link"),
    [
        pytest.param(
            lambda: JobsLogSensor(task_id="task", job_name="{{ params.job }}", since=timedelta(hours=2)),
            "https://example.com/airflow/jobmon/?job_name=a%2Fb%20%26%20c",
            id="a sensor's, its name rendered",
        ),
        pytest.param(
            lambda: JobHealthOperator(task_id="task", job_name="a/b & c"),
            "https://example.com/airflow/jobmon/?job_name=a%2Fb%20%26%20c",
            id="the check of one job",
        ),
        pytest.param(
            lambda: JobHealthOperator(task_id="task"), "https://example.com/airflow/jobmon/", id="the check of all"
        ),
    ],
)
def test_a_task_leads_to_the_page_of_its_job(run_dag, conn, jobmon_default, make, link):
    log_run(conn, "a/b & c")
    assert link_of(run_dag, make) == link


def test_a_serialized_dag_keeps_the_link():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG(dag_id="linked", schedule=None) as dag:
        JobHealthOperator(task_id="task")
    [task] = DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks
    assert [link.name for link in task.operator_extra_links] == ["Outside Job"]
