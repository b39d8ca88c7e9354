"""The health check and delivery operators as Airflow runs them, against a real log and a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG

from airflow_jobmon.jobs import MonitoredJob
from airflow_jobmon.notifiers import JobSlackNotifier, JobWebhookNotifier
from airflow_jobmon.operators import DeliverAlertsOperator, JobHealthOperator
from airflow_jobmon.postgres.registry import list_jobs
from tests.support.http_server import HttpServer, http_server, reply
from tests.support.logged_runs import log_run


@pytest.fixture
def slack(monkeypatch):
    with http_server(reply(200, "ok")) as server:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_OPS", _connection("slackwebhook", server, "T0/B0/secret"))
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack_ops")
        yield server


def _connection(conn_type: str, server: HttpServer, password: str = "") -> str:
    import json

    return json.dumps({"conn_type": conn_type, "host": f"{server.url}/services", "password": password})


def run_task(run_dag, make):
    with DAG(dag_id="ops", schedule=None) as dag:
        make()
    return run_dag(dag)


def outcome(dag_run, task_id):
    instance = dag_run.get_task_instance(task_id)
    return str(instance.state), instance.xcom_pull(task_ids=task_id)


@pytest.fixture
def installed(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def test_the_health_check_records_notifies_and_returns_the_health(run_dag, conn, jobmon_default, installed, slack):
    log_run(conn, "load", status="failed", error_message="disk full")
    log_run(conn, "other")
    state, health = outcome(run_task(run_dag, lambda: JobHealthOperator(task_id="check")), "check")
    assert state == "success"
    assert health["status"] == "critical"
    assert [job["job_name"] for job in health["jobs"]] == ["load", "other"]
    assert set(health["jobs"][0]) == {
        "job_name", "status", "last_run", "hours_since_last_run", "next_due_at", "consecutive_failures",
        "success_rate", "findings",
    }  # fmt: skip
    assert set(health["jobs"][0]["last_run"]) == {
        "id", "started_at", "completed_at", "duration_seconds", "status", "records_updated", "error_message",
    }  # fmt: skip
    assert health["jobs"][0]["findings"][0]["kind"] == "failed"
    assert ["disk full" in request.body.decode() for request in slack.requests] == [True]


@pytest.mark.parametrize(
    ("fail_on", "state"),
    [
        pytest.param(None, "success", id="never"),
        pytest.param("critical", "success", id="only a warning"),
        pytest.param("warning", "failed", id="a warning"),
    ],
)
def test_it_fails_only_with_fail_on_and_notifies_first(run_dag, conn, jobmon_default, installed, slack, fail_on, state):
    log_run(conn, "load", seconds=100)
    jobs = [MonitoredJob(name="load", max_duration="60s")]
    made = run_task(run_dag, lambda: JobHealthOperator(task_id="check", jobs=jobs, fail_on=fail_on))
    assert outcome(made, "check")[0] == state
    assert "Job Slow" in slack.requests[0].body.decode()


def test_it_registers_its_jobs_and_removes_those_no_longer_listed(run_dag, conn, jobmon_default):
    for names in (("load", "copy"), ("copy",)):
        jobs = [{"name": name, "schedule": "0 2 * * *"} for name in names]
        run_task(run_dag, lambda jobs=jobs: JobHealthOperator(task_id="check", jobs=jobs))
        assert {(entry.job.name, entry.source) for entry in list_jobs(conn)} == {
            (name, "dag:ops/check") for name in names
        }


def test_a_renamed_task_takes_over_what_it_registered_under_its_old_name(run_dag, conn, jobmon_default):
    for task_id in ("check", "check_all"):
        made = run_task(run_dag, lambda task_id=task_id: JobHealthOperator(task_id=task_id, jobs=[{"name": "load"}]))
        assert outcome(made, task_id)[0] == "success"
        assert [(entry.job.name, entry.source) for entry in list_jobs(conn)] == [("load", f"dag:ops/{task_id}")]


def test_two_tasks_that_list_the_same_job_do_not_take_it_from_each_other(run_dag, conn, jobmon_default):
    def both():
        first = JobHealthOperator(task_id="first", jobs=[{"name": "load"}])
        first >> JobHealthOperator(task_id="second", jobs=[{"name": "load"}])

    made = run_task(run_dag, both)
    assert (outcome(made, "first")[0], outcome(made, "second")[0]) == ("success", "failed")
    assert [entry.source for entry in list_jobs(conn)] == ["dag:ops/first"]


def test_without_recording_it_only_reads(run_dag, conn, jobmon_default, installed, slack):
    log_run(conn, "load", status="failed")
    state, health = outcome(run_task(run_dag, lambda: JobHealthOperator(task_id="check", record=False)), "check")
    assert (state, health["status"]) == ("success", "critical")
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.alerts").fetchone() == (0,)
    assert slack.requests == []


def test_one_job_is_checked_by_name_and_an_unknown_one_fails_the_task(run_dag, conn, jobmon_default):
    log_run(conn, "load")
    log_run(conn, "copy")
    _, health = outcome(run_task(run_dag, lambda: JobHealthOperator(task_id="check", job_name="copy")), "check")
    assert [job["job_name"] for job in health["jobs"]] == ["copy"]
    state, _ = outcome(run_task(run_dag, lambda: JobHealthOperator(task_id="check", job_name="laod")), "check")
    assert state == "failed"


def test_delivery_sends_what_is_due_once(run_dag, conn, jobmon_default, slack):
    log_run(conn, "load", status="failed", error_message="disk full")
    for _ in range(2):
        assert outcome(run_task(run_dag, lambda: DeliverAlertsOperator(task_id="deliver")), "deliver")[0] == "success"
    assert len(slack.requests) == 1


def test_notifiers_are_channels_in_addition_to_the_configured_ones(run_dag, conn, jobmon_default, slack, monkeypatch):
    with http_server(reply(200)) as hook:
        monkeypatch.setenv("AIRFLOW_CONN_PAGER", _connection("http", hook))
        log_run(conn, "load", status="failed", error_message="disk full")
        given = [JobWebhookNotifier("pager", name="on_call"), JobSlackNotifier("no_such_connection", name="lost")]
        made = run_task(run_dag, lambda: DeliverAlertsOperator(task_id="deliver", notifiers=given))
        assert len(hook.requests) == len(slack.requests) == 1
    # The one that cannot be opened fails the task, and keeps its alert.
    assert outcome(made, "deliver")[0] == "failed"
    states = conn.execute("SELECT channel, state FROM airflow_jobmon.deliveries ORDER BY channel").fetchall()
    assert states == [("lost", "pending"), ("on_call", "sent"), ("slack_ops", "sent")]


def test_a_temporary_channel_error_does_not_fail_the_task(run_dag, conn, jobmon_default, slack):
    slack.otherwise = reply(500, "oops")
    log_run(conn, "load", status="failed")
    state, report = outcome(run_task(run_dag, lambda: DeliverAlertsOperator(task_id="deliver")), "deliver")
    assert state == "success"
    assert report["failed"]["slack_ops"] >= 1


def test_a_missed_run_says_how_many_hours_ago_the_last_one_was(run_dag, conn, jobmon_default, installed, slack):
    log_run(conn, "load", started_at=datetime.now(UTC) - timedelta(hours=26, minutes=12))
    run_task(run_dag, lambda: JobHealthOperator(task_id="check", jobs=[MonitoredJob(name="load")]))
    body = slack.requests[0].body.decode()
    assert "Job Missed: load" in body
    assert "no run for 26.2 hours" in body.lower()


def test_a_missing_connection_fails_with_one_clear_line(run_dag, airflow_home, capsys, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT", raising=False)
    made = run_task(run_dag, lambda: JobHealthOperator(task_id="check"))
    assert outcome(made, "check")[0] == "failed"


def test_fail_on_accepts_known_words_only():
    with pytest.raises(ValueError, match="fail_on='bad' is unknown; use None, 'warning' or 'critical'"):
        JobHealthOperator(task_id="check", fail_on="bad")
