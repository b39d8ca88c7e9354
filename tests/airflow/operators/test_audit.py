"""The monthly audit as a DAG and as a command, while a watcher runs."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.monitoring_queries import list_queries
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings
from tests.support.drill_environment import sinks, watching
from tests.support.http_server import reply
from tests.support.logged_runs import log_run

CHANNELS = ("slack", "mail", "hook")
HOSTILE = "=HYPERLINK(1)<b>"


@pytest.fixture
def watched(database, monkeypatch, jobmon_default):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack,mail")
    with sinks(monkeypatch) as servers:
        channels, _ = open_channels(CHANNELS)
        with watching(database, Settings(channels=("slack", "mail"), sweep_interval=timedelta(seconds=1)), channels):
            yield servers


@pytest.fixture
def logged(conn):
    """Two jobs (one with its own channel), an old run, and a new error."""
    apply_jobs(conn, [MonitoredJob(name="load"), MonitoredJob(name="own", channels=("hook",))], source="file:x")
    now = datetime.now(UTC)
    log_run(conn, "load", started_at=now - timedelta(days=200))
    log_run(conn, "load", started_at=now - timedelta(days=100), status="failed", error_message="timeout after 30 s")
    log_run(conn, "load", started_at=now - timedelta(days=2), status="failed", error_message="timeout after 31 s")
    log_run(conn, "load", started_at=now - timedelta(days=1), status="failed", error_message="disk full")
    log_run(conn, "load")
    log_run(conn, "own")
    log_run(conn, HOSTILE, status="failed", error_message="=1+1")


def audit_dag():
    from airflow.dag_processing.dagbag import DagBag

    path = Path(__file__).parents[3] / "dags" / "jobmon_monthly_audit.py"
    bag = DagBag(dag_folder=str(path), bundle_name="dags-folder")
    assert bag.import_errors == {}
    return bag.dags["jobmon_monthly_audit"]


def read_export(directory: Path) -> dict[str, Path]:
    """The files of the only stored audit, checked against its manifest."""
    [kept] = directory.iterdir()
    manifest = json.loads((kept / "manifest.json").read_text())
    for entry in manifest["files"]:
        content = (kept / entry["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        if entry["name"].endswith(".json"):
            assert len(json.loads(content)) == entry["rows"]
        else:
            assert len(list(csv.reader(content.decode().splitlines(keepends=True)))) == entry["rows"] + 1
    return {path.name: path for path in kept.iterdir()}


def test_the_dag_exports_archives_drills_and_reports(run_dag, conn, watched, logged, tmp_path):
    ran = run_dag(audit_dag(), run_conf={"keep_at": f"file://{tmp_path}"})
    states = {instance.task_id: str(instance.state) for instance in ran.get_task_instances()}
    assert states == dict.fromkeys(["archive", "jobs_to_drill", "drill", "report"], "success")
    files = read_export(tmp_path)
    assert set(files) == {f"{query.name}.{form}" for query in list_queries() for form in ("csv", "json")} | {
        "manifest.json"
    }
    assert "'=HYPERLINK(1)" in files["failed_jobs.csv"].read_text()
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.jobs_log_archive").fetchone() == (2,)
    report = ran.get_task_instance("report").xcom_pull(task_ids="report")
    assert report["title"] == "Monthly audit: everything done and verified"
    assert sorted((found["job_name"], found["error"]) for found in report["details"]["new_errors"]) == [
        (HOSTILE, "=1+1"),
        ("load", "disk full"),
    ]
    drilled = [row[0] for row in report["details"]["drill"]]
    assert {"accepted by slack", "accepted by mail", "accepted by hook"} <= set(drilled)
    assert "Monthly audit" in watched.slack.requests[-1].json["text"]
    assert conn.execute("SELECT count(*) FROM public.jobs_log WHERE error_message LIKE 'TEST ALERT%'").fetchone() == (
        0,
    )


def test_a_dead_channel_fails_the_audit_and_the_report_still_goes_out(run_dag, conn, watched, logged, tmp_path):
    watched.hook.otherwise = reply(404, "gone")
    ran = run_dag(audit_dag(), run_conf={"keep_at": f"file://{tmp_path}", "archive": False})
    report = ran.get_task_instance("report")
    assert str(report.state) == "failed"
    xcom = report.xcom_pull(task_ids="report")
    assert "accepted by hook" in xcom["details"]["problems"][0]
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.jobs_log_archive").fetchone() == (0,)
    assert any("Monthly audit: 1 step failed" in request.json["text"] for request in watched.slack.requests)


def test_a_drill_that_could_not_run_is_a_problem_despite_the_others(run_dag, conn, watched, logged, tmp_path):
    conn.execute("ALTER TABLE public.jobs_log ADD CHECK (job_name <> 'own' OR status <> 'failed')")
    ran = run_dag(audit_dag(), run_conf={"keep_at": f"file://{tmp_path}"})
    report = ran.get_task_instance("report")
    assert str(report.state) == "failed"
    [problem] = report.xcom_pull(task_ids="report")["details"]["problems"]
    assert problem == "alert drill: no drill tested hook; see the task's logs"


def test_a_failing_archive_does_not_stop_the_drills(run_dag, conn, watched, logged, tmp_path):
    conn.execute("ALTER TABLE airflow_jobmon.jobs_log_archive RENAME TO jobs_log_archive_away")
    ran = run_dag(audit_dag(), run_conf={"keep_at": f"file://{tmp_path}"})
    states = {instance.task_id: str(instance.state) for instance in ran.get_task_instances()}
    assert states["archive"] == "failed"
    assert states["drill"] == "success"


@pytest.mark.parametrize(
    "conf",
    [
        pytest.param({"days": 0}, id="no days"),
        pytest.param({"days": "ninety"}, id="days in words"),
        pytest.param({"job_name": ""}, id="an empty job"),
        pytest.param({"job_name": "  "}, id="a blank job"),
        pytest.param({"keep_at": " "}, id="a blank directory"),
        pytest.param({"archive": "maybe"}, id="neither on nor off"),
    ],
)
def test_the_form_rejects_invalid_params(run_dag, conn, jobmon_default, conf):
    with pytest.raises(ParamValidationError):
        run_dag(audit_dag(), run_conf=conf)


class TestCommand:
    @pytest.fixture
    def jobmon(self, airflow_home, jobmon_default, monkeypatch, capsys):
        from airflow.cli.cli_parser import get_parser

        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
        monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT")

        def call(*arguments):
            parsed = get_parser().parse_args(["jobmon", "audit", *arguments])
            capsys.readouterr()
            try:
                parsed.func(parsed)
                code = 0
            except SystemExit as ended:
                code = ended.code
            said = capsys.readouterr()
            return code, said.out, said.err

        return call

    def test_without_archive_it_counts_what_it_would_archive(self, jobmon, conn, watched, logged, tmp_path):
        code, out, err = jobmon("--keep-at", str(tmp_path))
        assert code == 0, err
        assert "2 runs of 1 job" in out
        assert "dry run: would archive" in out
        assert "3 test alerts accepted" in out
        read_export(tmp_path)

    def test_without_a_drill_no_alert_is_sent(self, jobmon, conn, watched, logged, tmp_path):
        code, out, _ = jobmon("--no-drill", "--keep-at", str(tmp_path), "--archive", "--job", "load", "-o", "json")
        assert code == 0
        assert json.loads(out)["details"]["archive"].startswith("archived 2 runs of 1 job")
        assert not any("TEST ALERT" in request.body.decode() for request in watched.slack.requests)

    def test_an_audit_continues_from_the_last_audit_of_all_jobs_or_of_the_same_job(self, jobmon, logged, tmp_path):
        def new_errors(*arguments):
            code, out, err = jobmon("--no-drill", "--keep-at", str(tmp_path), "-o", "json", *arguments)
            assert code == 0, err
            return sorted(found["error"] for found in json.loads(out)["details"]["new_errors"])

        assert new_errors("--job", "load") == ["disk full"]
        assert new_errors("--job", "load") == []
        assert new_errors() == ["=1+1", "disk full"]
        assert new_errors() == []
        assert new_errors("--job", HOSTILE) == []

    def test_an_audit_that_no_channel_receives_is_a_warning(self, jobmon, conn, monkeypatch, tmp_path):
        monkeypatch.delenv("AIRFLOW__JOBMON__CHANNELS", raising=False)
        code, _, err = jobmon("--no-drill", "--keep-at", str(tmp_path), "--send")
        assert code == 0, err
        assert "warning: the report was not sent, since no channel is configured; set [jobmon] channels" in err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            pytest.param(("--older-than", "soon"), "is not a valid duration", id="no age"),
            pytest.param(("--channels", "slack"), "add --send", id="channels without sending"),
            pytest.param(("--no-drill", "--keep-at", "nosuch://x"), "cannot open nosuch://x", id="nowhere to keep it"),
            pytest.param(("--no-drill", "--job", "laod"), "'laod' is neither registered", id="an unknown job"),
        ],
    )
    def test_invalid_input_is_reported_in_one_sentence(self, jobmon, conn, logged, arguments, said):
        code, _, err = jobmon(*arguments)
        assert code == 1
        assert said in err
