"""The archive operator as Airflow runs it, with arguments from a DAG and from Params."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, Param

from airflow_jobmon.operators import ArchiveJobsLogOperator
from tests.support.logged_runs import log_run


@pytest.fixture
def old_runs(conn, jobmon_default):
    for job in ("sync", "load"):
        for days in (200, 100, 1):
            log_run(conn, job, started_at=datetime.now(UTC) - timedelta(days=days))
    return conn


@pytest.fixture
def archive(run_dag):
    """Run the operator in a DAG with these Params; return its final state and its XCom."""

    def run(params=None, conf=None, **arguments):
        with DAG(dag_id="archiving", schedule=None, params=params) as dag:
            ArchiveJobsLogOperator(task_id="archive", **arguments)
        instance = run_dag(dag, run_conf=conf).get_task_instance("archive")
        return str(instance.state), instance.xcom_pull(task_ids="archive")

    return run


def archived(conn):
    return conn.execute("SELECT count(*) FROM airflow_jobmon.jobs_log_archive").fetchone()[0]


@pytest.mark.parametrize(
    "older_than", [pytest.param("90d", id="text"), pytest.param(timedelta(days=90), id="timedelta")]
)
def test_it_moves_old_runs_and_returns_a_summary(archive, old_runs, older_than):
    state, summary = archive(older_than=older_than)
    assert state == "success"
    assert (summary["runs"], summary["jobs"], summary["dry_run"]) == (4, {"load": 2, "sync": 2}, False)
    assert archived(old_runs) == 4


def test_a_dry_run_counts_and_moves_nothing(archive, old_runs):
    state, summary = archive(older_than="90d", job_name="sync", dry_run=True)
    assert (state, summary["jobs"], summary["stay"]) == ("success", {"sync": 2}, {})
    assert archived(old_runs) == 0


def test_it_exports_to_a_folder(archive, old_runs, tmp_path):
    state, summary = archive(older_than="90d", to=f"file://{tmp_path}")
    assert (state, summary["runs"], summary["parts"]) == ("success", 4, 1)
    [manifest] = tmp_path.glob("*/manifest.json")
    assert summary["manifest"] == f"file://{manifest}"
    assert archived(old_runs) == 0
    assert old_runs.execute("SELECT count(*) FROM public.jobs_log").fetchone() == (2,)


PARAMS = {
    "days": Param(90, type="integer", minimum=1),
    "job": Param(None, type=["null", "string"]),
    "dry_run": Param(False, type="boolean"),
}
FROM_PARAMS = {
    "older_than": "{{ params.days }}d",
    "job_name": "{{ params.job or '' }}",
    "dry_run": "{{ params.dry_run }}",
}


@pytest.mark.parametrize(
    ("conf", "jobs", "moved"),
    [
        pytest.param({}, {"load": 2, "sync": 2}, 4, id="defaults"),
        pytest.param({"days": 150, "job": "sync"}, {"sync": 1}, 1, id="given"),
        pytest.param({"dry_run": True}, {"load": 2, "sync": 2}, 0, id="dry run"),
    ],
)
def test_its_arguments_may_come_from_params(archive, old_runs, conf, jobs, moved):
    state, summary = archive(PARAMS, conf, **FROM_PARAMS)
    assert (state, summary["jobs"], archived(old_runs)) == ("success", jobs, moved)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param({"older_than": "90"}, "'90' is not a valid duration; write it like", id="no unit"),
        pytest.param({"older_than": "1h"}, "runs older than 1h cannot be archived", id="too young"),
        pytest.param({"older_than": 90}, "older_than=90 is not a duration; give a timedelta", id="a number"),
        pytest.param(
            {"older_than": "90d", "job_name": "snyc"}, "job 'snyc' has no run in the job log", id="unknown job"
        ),
        pytest.param(
            {"older_than": "90d", "dry_run": "maybe"}, "dry_run='maybe' is neither true nor false", id="no boolean"
        ),
        pytest.param(
            {"older_than": "90d", "conn_id": "nowhere"}, "Airflow has no connection 'nowhere'", id="no connection"
        ),
    ],
)
def test_invalid_input_fails_the_task_without_retry_and_with_one_clear_line(
    archive, old_runs, capsys, arguments, complaint
):
    state, _ = archive(retries=3, **arguments)
    assert state == "failed"
    assert complaint in capsys.readouterr().out
    assert archived(old_runs) == 0
