"""Health and metrics over HTTP: the JSON, the status codes, and the response when the log is unavailable."""

from __future__ import annotations

import json

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from airflow_jobmon.web.routes.schemas import HealthReport, Metrics
from tests.support.http_server import http_server, reply
from tests.support.logged_runs import install_now, log_run
from tests.support.moments import ago


@pytest.fixture
def get(client, jobmon_default):
    made, headers = client

    def ask(path, **params):
        return made.get(f"/jobmon{path}", params=params, headers=headers)

    return ask


@pytest.fixture
def installed(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def test_get_returns_the_stored_health_and_changes_nothing(get, conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    answer = get("/check-job-health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    HealthReport.model_validate(answer.json())
    log_run(conn, "load", "failed", error_message="disk full")
    assert get("/check-job-health").status_code == 200  # not evaluated yet
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.events").fetchone() == (1,)


def test_uptime_services_may_use_head(client, jobmon_default, conn):
    made, headers = client
    log_run(conn, "fine")
    log_run(conn, "load", "failed", error_message="disk full")
    check_and_record(conn, Settings())
    for job_name, status in (("fine", 200), ("load", 503), ("lost", 404)):
        answer = made.head("/jobmon/check-job-health", params={"job_name": job_name}, headers=headers)
        assert (answer.status_code, answer.content) == (status, b"")


def test_a_critical_job_makes_curl_fail(get, conn):
    log_run(conn, "fine")
    log_run(conn, "load", "failed", error_message="disk full")
    check_and_record(conn, Settings())
    answer = get("/check-job-health")
    assert (answer.status_code, answer.json()["status"]) == (503, "critical")
    assert [job["job_name"] for job in answer.json()["jobs"]] == ["load", "fine"]
    assert answer.json()["jobs"][0]["findings"][0]["kind"] == "failed"
    assert get("/check-job-health", job_name="fine").status_code == 200
    assert get("/check-job-health", job_name="load").status_code == 503


@pytest.mark.parametrize(
    "make_it_so",
    [
        pytest.param(None, id="there are no jobs"),
        pytest.param("never checked", id="never checked"),
        pytest.param("stale", id="not checked for two hours"),
    ],
)
def test_unknown_health_makes_curl_fail(get, conn, make_it_so):
    if make_it_so:
        log_run(conn, "load")
    if make_it_so == "stale":
        check_and_record(conn, Settings())
        conn.execute("UPDATE airflow_jobmon.full_checks SET checked_at = checked_at - interval '3 hours'")
    answer = get("/check-job-health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unknown")


def test_a_job_that_left_the_log_does_not_make_health_stale_for_ever(get, conn):
    log_run(conn, "load")
    log_run(conn, "gone")
    check_and_record(conn, Settings())
    conn.execute("DELETE FROM public.jobs_log WHERE job_name = 'gone'")
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = now() - interval '3 hours' WHERE job_name = 'gone'")
    answer = get("/check-job-health")
    assert (answer.status_code, [job["job_name"] for job in answer.json()["jobs"]]) == (200, ["load"])


def test_a_check_of_one_job_does_not_refresh_the_others(get, conn):
    log_run(conn, "load")
    log_run(conn, "broken", "failed")
    check_and_record(conn, Settings())
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = checked_at - interval '3 hours'")
    conn.execute("UPDATE airflow_jobmon.full_checks SET checked_at = checked_at - interval '3 hours'")
    check_and_record(conn, Settings(), ["load"])
    answer = get("/check-job-health")
    assert (answer.status_code, {job["job_name"] for job in answer.json()["jobs"]}) == (503, {"load", "broken"})
    assert get("/check-job-health", job_name="load").status_code == 200
    assert get("/check-job-health", job_name="broken").status_code == 503


def test_checked_at_is_the_time_of_the_evaluation(get, conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    conn.execute("UPDATE airflow_jobmon.full_checks SET checked_at = '2025-11-13T07:00:00Z'")
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = '2025-11-13T06:00:00Z'")
    assert get("/check-job-health").json()["checked_at"] == "2025-11-13T07:00:00Z"
    assert get("/check-job-health", job_name="load").json()["checked_at"] == "2025-11-13T06:00:00Z"


def test_a_newly_registered_job_hides_no_other(get, conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    apply_jobs(conn, [MonitoredJob(name="new")], source="file:x")
    answer = get("/check-job-health")
    assert (answer.status_code, answer.json()["status"]) == (200, "unknown")
    assert {job["job_name"]: job["status"] for job in answer.json()["jobs"]} == {"load": "ok", "new": "unknown"}
    alone = get("/check-job-health", job_name="new")
    assert (alone.status_code, alone.json()["status"]) == (503, "unknown")


def test_a_registered_job_that_is_never_evaluated_makes_curl_fail(get, conn):
    log_run(conn, "load")
    apply_jobs(conn, [MonitoredJob(name="left out")], source="file:x")
    check_and_record(conn, Settings())
    conn.execute("UPDATE airflow_jobmon.jobs SET updated_at = updated_at - interval '3 hours'")
    conn.execute(
        "UPDATE airflow_jobmon.job_state SET checked_at = checked_at - interval '3 hours',"
        " first_seen_at = first_seen_at - interval '3 hours' WHERE job_name = 'left out'"
    )
    answer = get("/check-job-health")
    assert answer.status_code == 503
    assert {job["job_name"]: job["status"] for job in answer.json()["jobs"]} == {"load": "ok", "left out": "unknown"}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_disabled_job_has_no_health_and_the_reason_is_given(client, jobmon_default, conn, method):
    made, headers = client
    log_run(conn, "off")
    apply_jobs(conn, [MonitoredJob(name="off", enabled=False)], source="file:x")
    answer = getattr(made, method)("/jobmon/check-job-health", params={"job_name": "off"}, headers=headers)
    assert answer.status_code == 503
    assert answer.json() == {"detail": "job 'off' is registered with enabled: false, so it is not evaluated"}


def test_a_job_that_was_not_evaluated_yet_says_when_it_will_be(get, conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    log_run(conn, "first run")
    answer = get("/check-job-health", job_name="first run")
    assert answer.status_code == 503
    assert "a watcher evaluates it within a minute" in answer.json()["detail"]


def test_ignored_jobs_do_not_make_health_stale(get, conn, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__UNREGISTERED_JOBS", "ignore")
    log_run(conn, "load")
    log_run(conn, "ignored")
    install_now(conn)
    apply_jobs(conn, [MonitoredJob(name="load")], source="file:x")
    check_and_record(conn, Settings(unregistered_jobs="ignore"))
    answer = get("/check-job-health")
    assert (answer.status_code, [job["job_name"] for job in answer.json()["jobs"]]) == (200, ["load"])
    assert conn.execute("SELECT job_name FROM airflow_jobmon.job_health").fetchall() == [("load",)]


def test_an_unknown_job_is_404(get, conn):
    for path in ("/check-job-health", "/job-metrics"):
        answer = get(path, job_name="laod")
        assert answer.status_code == 404
        assert "'laod' is neither registered" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        pytest.param("/check-job-health", {"job_name": ""}, id="an empty name"),
        pytest.param("/check-job-health", {"job_name": "x" * 2001}, id="a name that is too long"),
        pytest.param("/job-metrics", {}, id="no name"),
        pytest.param("/job-metrics", {"job_name": "load", "days": 0}, id="no days"),
        pytest.param("/job-metrics", {"job_name": "load", "days": 401}, id="too many days"),
        pytest.param("/job-metrics", {"job_name": "load", "days": "many"}, id="days in words"),
    ],
)
def test_invalid_parameters_are_422_with_a_reason(get, conn, path, params):
    answer = get(path, **params)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "query"


def test_a_name_that_postgres_cannot_store_is_refused(get, conn):
    answer = get("/check-job-health", job_name="a\x00b")
    assert answer.status_code == 422


def test_post_checks_records_and_alerts(client, conn, jobmon_default, installed, monkeypatch):
    with http_server(reply(200)) as hook:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": hook.url}))
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "hook")
        log_run(conn, "load", "failed", error_message="disk full")
        made, headers = client
        answer = made.post("/jobmon/check-job-health", headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (503, "critical")
        HealthReport.model_validate(answer.json())
        assert len(hook.requests) == 1
        assert made.post("/jobmon/check-job-health", params={"job_name": "load"}, headers=headers).status_code == 503
        assert len(hook.requests) == 1
        assert made.post("/jobmon/check-job-health", params={"job_name": "laod"}, headers=headers).status_code == 404


def test_metrics_have_the_documented_fields(get, conn):
    for day in range(3):
        log_run(conn, "load", started_at=ago(days=day, hours=1), seconds=10 + day, records_updated=40)
    log_run(conn, "load", "failed", ago(hours=2), error_message="disk full")
    log_run(conn, "load", "failed", ago(hours=2), error_message="TEST ALERT - please ignore")
    log_run(conn, "load", started_at=ago(days=60))
    answer = get("/job-metrics", job_name="load")
    assert answer.status_code == 200
    Metrics.model_validate(answer.json())
    assert set(answer.json()) == set(Metrics.model_fields)
    summary = answer.json()["summary"]
    assert summary == {
        "total_runs": 4,
        "successful_runs": 3,
        "failed_runs": 1,
        "success_rate": 75.0,
        "avg_duration_seconds": 11.0,
        "p50_duration_seconds": 11.0,
        "p95_duration_seconds": pytest.approx(11.9),
        "max_duration_seconds": 12.0,
        "total_records_updated": 120,
    }
    assert len(answer.json()["recent_runs"]) == 5
    assert [run["error_message"] for run in answer.json()["recent_failures"]] == ["disk full"]
    assert sum(day["total_runs"] for day in answer.json()["daily"]) == 4
    assert get("/job-metrics", job_name="load", days=90).json()["summary"]["total_runs"] == 5


def test_a_registered_job_that_never_ran_has_metrics(get, conn):
    apply_jobs(conn, [MonitoredJob(name="load"), MonitoredJob(name="off", enabled=False)], source="file:x")
    metrics = get("/job-metrics", job_name="load").json()
    assert metrics["health"]["status"] == "unknown"
    assert metrics["summary"]["success_rate"] is None
    assert get("/job-metrics", job_name="off").json()["health"] is None


def test_a_connection_that_died_is_replaced(get, conn, postgres):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    assert get("/check-job-health").status_code == 200
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert get("/check-job-health").status_code == 200


def test_a_schema_that_was_never_migrated_says_what_to_run(client, empty_database, airflow_connection):
    airflow_connection("jobmon_default", empty_database)
    made, headers = client
    answer = made.get("/jobmon/check-job-health", headers=headers)
    assert answer.status_code == 503
    assert "airflow jobmon migrate" in answer.json()["detail"]
