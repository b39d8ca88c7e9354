"""The whole path under a running Airflow: triggerer, DAG, channels."""

from __future__ import annotations

import urllib.error
from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import apply_jobs
from demo.inbox_reader import SINKS
from demo.standalone import EMAIL, SLACK
from tests.support.logged_runs import finish_run, log_run

pytestmark = pytest.mark.standalone


def test_a_failed_run_and_its_recovery_arrive_on_slack_and_by_email(airflow, jobs, measured):
    run = log_run(jobs, "nightly-load", status="running", seconds=3)
    finish_run(jobs, run, "failed", error_message="Connection timeout after 3 retries")
    began = datetime.now(UTC) - timedelta(seconds=5)
    for sink in SINKS:
        message = airflow.until_arrived(sink, "Job Failed", "nightly-load")
        measured(f"failed row to {sink}, the DAG's first run", message["received"] - _ended(jobs, run))
    by_dag = {SLACK: 1, EMAIL: 1}
    airflow.until(lambda: airflow.delivered_by_dag(began) == by_dag, "runs of jobmon_alerts that say they sent it")
    seen = airflow.last_received()
    good = log_run(jobs, "nightly-load", status="running", seconds=1)
    finish_run(jobs, good)
    for sink in SINKS:
        message = airflow.until_arrived(sink, "esolved" if sink == "slack" else "RESOLVED", "nightly-load", after=seen)
        measured(f"successful row to resolved on {sink}, sweeping each 5 s", message["received"] - _ended(jobs, good))


def test_a_drill_pasted_by_hand_takes_the_same_path(airflow, jobs, measured):
    seen = airflow.last_received()
    run = jobs.execute(
        """
        INSERT INTO jobs_log (job_name, started_at, completed_at, status, error_message)
        VALUES (
          'update-installment-statuses',
          now(),
          now(),
          'failed',
          'TEST ALERT - Please ignore this simulated failure'
        ) RETURNING id::text
        """
    ).fetchone()[0]
    for sink in SINKS:
        message = airflow.until_arrived(sink, "TEST ALERT", "update-installment-statuses", after=seen)
        measured(f"drill to {sink}, warm", message["received"] - _ended(jobs, run))
    assert jobs.execute("SELECT count(*) FROM airflow_jobmon.incidents WHERE job_name LIKE 'update-%'").fetchone() == (
        0,
    )
    jobs.execute("DELETE FROM jobs_log WHERE error_message = 'TEST ALERT - Please ignore this simulated failure'")


@pytest.mark.parametrize("drill", ["failure", "missed"])
def test_the_alert_test_dag_verifies_the_path_through_the_triggerer(airflow, jobs, measured, drill):
    apply_jobs(jobs, [MonitoredJob(name="drilled")], source="test")
    log_run(jobs, "drilled", seconds=2)
    seen = airflow.last_received()
    run = airflow.trigger("jobmon_alert_test", drill=drill, job_name="drilled")
    airflow.until(lambda: airflow.state("jobmon_alert_test", run) in {"success", "failed"}, "the drill", 120)
    steps = {step["step"]: step for step in airflow.xcom("jobmon_alert_test", run, "drill")}
    assert airflow.state("jobmon_alert_test", run) == "success", steps
    for channel, sink in ((SLACK, "slack"), (EMAIL, "email")):
        airflow.until_arrived(sink, "TEST ALERT", "drilled", after=seen)
        measured(f"{drill} drill by the DAG, accepted by {sink}", steps[f"accepted by {channel}"]["seconds"])


def test_an_unknown_drill_is_refused_where_it_is_requested(airflow):
    with pytest.raises(urllib.error.HTTPError) as refused:
        airflow.trigger("jobmon_alert_test", drill="fire drill")
    assert refused.value.code == 400
    assert "'fire drill' is not one of ['failure', 'missed']" in refused.value.read().decode()


def test_the_callbacks_of_an_ordinary_dag_send_its_failure(airflow):
    seen = airflow.last_received()
    airflow.trigger("fails_by_itself")
    email = airflow.until_arrived("email", "Job Failed", "fails_by_itself", after=seen)
    assert "<b>nothing</b> to divide by, {{ 7*7 }}" in email["text"]
    assert "&lt;b&gt;nothing" in email["html"]
    slack = airflow.until_arrived("slack", "Job Failed", "the whole DAG", after=seen)
    assert "https://wiki.example.com/etl" in str(slack["payload"])


def test_the_hourly_check_started_over_the_api_returns_the_health_of_all_jobs(airflow, jobs):
    log_run(jobs, "checked-hourly", seconds=2)
    run = airflow.trigger("jobmon_hourly_health_check")
    airflow.until(lambda: airflow.state("jobmon_hourly_health_check", run) in {"success", "failed"}, "the check")
    health = airflow.xcom("jobmon_hourly_health_check", run, "check")
    found = {job["job_name"]: job for job in health["jobs"]}
    assert found["checked-hourly"]["status"] == "ok"
    assert found["update-installment-statuses"]["status"] == "unknown"  # registered by that DAG, never run
    assert health["status"] in {"unknown", "critical"}


def _ended(conn, run_id: str) -> float:
    row = conn.execute("SELECT extract(epoch FROM completed_at) FROM jobs_log WHERE id::text = %s", [run_id]).fetchone()
    return float(row[0])
