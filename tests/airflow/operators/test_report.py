"""JobReportOperator as Airflow runs it, against a real log and real servers."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_jobmon.operators import JobReportOperator
from tests.support.http_server import http_server, reply
from tests.support.logged_runs import log_run
from tests.support.smtp_server import smtp_server


@pytest.fixture
def slack(monkeypatch):
    with http_server(reply(200, "ok")) as server:
        fields = {"conn_type": "slackwebhook", "host": f"{server.url}/services", "password": "T0/B0/secret"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_OPS", json.dumps(fields))
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack_ops")
        yield server


@pytest.fixture
def mailbox(monkeypatch):
    with smtp_server() as server:
        extra = {"disable_ssl": True, "disable_tls": True, "to": "ops@example.com", "from_email": "jobmon@example.com"}
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MAIL_OPS", json.dumps(fields))
        yield server


def run(run_dag, **given):
    with DAG(dag_id="reports", schedule=None) as dag:
        JobReportOperator(task_id="report", **given)
    instance = run_dag(dag).get_task_instance("report")
    return str(instance.state), instance.xcom_pull(task_ids="report")


def test_a_report_is_sent_to_the_configured_channels_and_returned_as_xcom(run_dag, conn, jobmon_default, slack):
    log_run(conn, "load", "failed", error_message="disk full")
    state, report = run(run_dag, report="daily")
    assert state == "success"
    assert report["kind"] == "daily"
    assert report["sent"] == {"slack_ops": "sent"}
    assert report["details"]["failures"][0]["last_error"] == "disk full"
    assert "Morning check" in slack.requests[0].json["text"]


def test_each_report_may_have_its_own_channels(run_dag, conn, jobmon_default, slack, mailbox):
    log_run(conn, "load")
    state, report = run(run_dag, report="weekly", channels=["mail_ops"])
    assert (state, report["sent"]) == ("success", {"mail_ops": "sent"})
    assert slack.requests == []
    assert "Weekly review" in mailbox.mails[0].message["Subject"]


def test_the_review_is_stored_as_a_page_and_linked(run_dag, conn, jobmon_default, slack, tmp_path):
    log_run(conn, "load")
    state, _ = run(run_dag, report="weekly", keep_at=f"file://{tmp_path}/kept", page_url="https://files.example.com/r/")
    assert state == "success"
    [page] = (tmp_path / "kept").iterdir()
    assert "<svg" in page.read_text()
    assert f"https://files.example.com/r/{page.name}" in json.dumps(slack.requests[0].json)


def test_the_xcom_of_many_jobs_stays_small(run_dag, conn, jobmon_default, slack):
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status, error_message, records_updated)"
        " SELECT 'a-job-of-many-' || n, at, at + interval '10 seconds',"
        " CASE WHEN day = 1 THEN 'failed' ELSE 'success' END, CASE WHEN day = 1 THEN repeat('disk full ', 100) END, n"
        " FROM generate_series(1, 500) AS n, generate_series(1, 13) AS day,"
        " LATERAL (SELECT now() - day * interval '1 day') AS run (at)"
    )
    for report in ("daily", "weekly"):
        state, xcom = run(run_dag, report=report)
        assert (state, xcom["sent"]) == ("success", {"slack_ops": "sent"})
        assert "sections" not in xcom
        assert len(json.dumps(xcom)) < 200_000


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"report": "monthly"}, id="an unknown report"),
        pytest.param({"report": "daily", "channels": ["slack_ops", "nobody"]}, id="an unknown channel"),
        pytest.param({"report": "weekly", "keep_at": "file:///proc/nowhere"}, id="a page that cannot be kept"),
        pytest.param({"report": "weekly", "keep_at": "nosuch://bucket"}, id="an unknown storage scheme"),
    ],
)
def test_invalid_arguments_fail_the_task(run_dag, conn, jobmon_default, slack, given):
    state, _ = run(run_dag, **given)
    assert state == "failed"
    assert len(slack.requests) == ("nobody" in given.get("channels", []))


def test_a_channel_that_is_down_for_now_does_not_fail_the_task(run_dag, conn, jobmon_default, slack):
    slack.otherwise = reply(429, "slow down", Retry_After="60")
    state, report = run(run_dag, report="daily")
    assert (state, report["sent"]) == ("success", {"slack_ops": "open"})


@pytest.mark.parametrize(
    ("channels", "warns"),
    [pytest.param(None, True, id="none is configured"), pytest.param([], False, id="none is wanted")],
)
def test_a_report_without_channels_is_a_warning_unless_intended(run_dag, conn, jobmon_default, capsys, channels, warns):
    state, report = run(run_dag, report="daily", channels=channels)
    assert (state, report["sent"]) == ("success", {})
    said = [line for line in capsys.readouterr().out.splitlines() if "was not sent" in line]
    assert bool(said) == warns
    assert all("[warning" in line and "set [jobmon] channels (AIRFLOW__JOBMON__CHANNELS)" in line for line in said)


def test_a_channel_that_refuses_for_good_fails_the_task(run_dag, conn, jobmon_default, slack):
    slack.otherwise = reply(404, "no_team")
    assert run(run_dag, report="daily")[0] == "failed"


class Interrupted(JobReportOperator):
    """The first try ends just after the report is sent; the second adds one more channel."""

    def execute(self, context):
        if context["ti"].try_number > 1:
            self.channels = ["slack_ops", "mail_ops"]
        done = super().execute(context)
        if context["ti"].try_number == 1:
            raise ConnectionError("the worker lost its database")
        return done


def test_a_retried_task_sends_only_to_channels_that_lack_the_report(run_dag, conn, jobmon_default, slack, mailbox):
    log_run(conn, "load", "failed", error_message="disk full")
    with DAG(dag_id="retried", schedule=None) as dag:
        Interrupted(task_id="report", report="daily", retries=1, retry_delay=timedelta(0))
    instance = run_dag(dag).get_task_instance("report")
    assert (str(instance.state), instance.try_number) == ("success", 2)
    assert instance.xcom_pull(task_ids="report")["sent"] == {"mail_ops": "sent", "slack_ops": "sent"}
    assert (len(slack.requests), len(mailbox.mails)) == (1, 1)
    run_dag(dag)
    assert len(slack.requests) == 2


def test_a_retried_audit_reports_the_same_new_errors(run_dag, conn, jobmon_default, slack, mailbox, tmp_path):
    log_run(conn, "load", "failed", error_message="disk full")
    with DAG(dag_id="retried_audit", schedule=None) as dag:
        Interrupted(
            task_id="report",
            report="audit",
            keep_at=f"file://{tmp_path}",
            archive={"runs": 0, "job_count": 0, "dry_run": True, "before": "2026-01-01", "refused": {}},
            drills=[[{"step": "accepted by slack_ops", "expected": "", "observed": "", "seconds": 1.0, "ok": True}]],
            retries=1,
            retry_delay=timedelta(0),
        )
    instance = run_dag(dag).get_task_instance("report")
    assert instance.try_number == 2
    assert [found["error"] for found in instance.xcom_pull(task_ids="report")["details"]["new_errors"]] == ["disk full"]


@pytest.mark.parametrize("name", ["jobmon_daily_digest", "jobmon_weekly_review"])
def test_the_example_dags_run(run_dag, conn, jobmon_default, slack, name):
    from airflow.dag_processing.dagbag import DagBag

    path = Path(__file__).parents[3] / "dags" / f"{name}.py"
    bag = DagBag(dag_folder=str(path), bundle_name="dags-folder")
    assert bag.import_errors == {}
    dag = bag.dags[name]
    assert str(run_dag(dag).get_task_instance("report").state) == "success"
    assert len(slack.requests) == 1
