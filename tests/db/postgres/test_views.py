"""The views for people: what they count, what they leave out, and that a filter on one job stays cheap."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import dict_row

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record, evaluate_changed
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.trigger_events import Conn

NOON = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def history(conn: Conn) -> Conn:
    """sync: three successes of 10, 20 and 30 s, one failure, one run in progress, a drill, and an old failure."""
    for seconds, records in ((10, 5), (20, 0), (30, None)):
        log_run(conn, "sync", started_at=NOON, seconds=seconds, records_updated=records)
    log_run(conn, "sync", "failed", NOON + timedelta(hours=1), seconds=2, error_message="boom")
    log_run(conn, "sync", "running", NOON + timedelta(hours=2))
    log_run(conn, "sync", "failed", NOON + timedelta(hours=3), error_message="TEST ALERT - ignore")
    log_run(conn, "sync", "failed", NOON - timedelta(days=40), seconds=1, error_message="long ago")
    return conn


def rows(conn: Conn, query: str) -> list[dict[str, Any]]:
    return conn.cursor(row_factory=dict_row).execute(query).fetchall()


def test_success_rate_counts_finished_runs_of_thirty_days_without_drills(history):
    (row,) = rows(history, "SELECT * FROM airflow_jobmon.success_rate")
    assert (row["total_runs"], row["successful_runs"], row["failed_runs"]) == (5, 3, 1)
    assert float(row["success_rate_percent"]) == 75.0


def test_success_rate_of_a_job_that_never_finished_is_unknown(conn):
    log_run(conn, "new", "running")
    (row,) = rows(conn, "SELECT * FROM airflow_jobmon.success_rate")
    assert row["success_rate_percent"] is None


def test_failed_jobs_are_the_failures_of_a_week(history):
    (row,) = rows(history, "SELECT * FROM airflow_jobmon.failed_jobs")
    assert (row["error_message"], row["duration_seconds"]) == ("boom", 2.0)


def test_performance_metrics_cover_successes(history):
    (row,) = rows(history, "SELECT * FROM airflow_jobmon.performance_metrics")
    assert row["successful_runs"] == 3
    assert (row["avg_duration_seconds"], row["p50_duration_seconds"], row["max_duration_seconds"]) == (20.0, 20.0, 30.0)
    assert row["p95_duration_seconds"] == pytest.approx(29.0)
    assert row["total_records_updated"] == 5


def test_daily_metrics_have_a_row_for_each_utc_day(history):
    older, newer = rows(history, "SELECT * FROM airflow_jobmon.daily_metrics ORDER BY date")
    assert older["failed_runs"] == 1
    assert newer["date"] == NOON.date()
    assert (newer["total_runs"], newer["records_updated"], newer["avg_duration_seconds"]) == (5, 5, 20.0)


def test_recent_executions_are_the_ten_newest_of_each_job(conn):
    for number in range(12):
        log_run(conn, "sync", started_at=NOON + timedelta(minutes=number), seconds=number)
    log_run(conn, "other", "running", NOON)
    found = rows(conn, "SELECT * FROM airflow_jobmon.recent_executions WHERE job_name = 'sync' ORDER BY started_at")
    assert [row["duration_seconds"] for row in found] == [float(number) for number in range(2, 12)]
    assert len(rows(conn, "SELECT * FROM airflow_jobmon.recent_executions")) == 11


@pytest.mark.parametrize(
    ("age", "health"),
    [
        pytest.param("1 hour 59 minutes", "critical", id="fresh"),
        pytest.param("2 hours 1 minute", "unknown", id="stale"),
        pytest.param(None, "unknown", id="never evaluated"),
    ],
)
def test_job_health_is_the_stored_health_until_it_is_stale(conn, age, health):
    verdict = {
        "last_run": {"started_at": "2025-11-13T02:00:00Z", "status": "failed"},
        "consecutive_failures": 2,
        "success_rate": 96.7,
        "findings": [{"message": "the last run failed"}, {"message": "it is slow"}],
    }
    conn.execute(
        "INSERT INTO airflow_jobmon.job_state (job_name, checked_at, health, verdict)"
        " VALUES ('sync', clock_timestamp() - %s::interval, 'critical', %s)",
        (age, json.dumps(verdict)),
    )
    (row,) = rows(conn, "SELECT * FROM airflow_jobmon.job_health")
    assert row["health"] == health
    assert row["last_run_started_at"] == datetime(2025, 11, 13, 2, tzinfo=UTC)
    assert (row["consecutive_failures"], row["success_rate_percent"]) == (2, 96.7)
    assert row["problems"] == "the last run failed; it is slow"


def test_job_health_shows_a_job_without_a_stored_evaluation(conn):
    conn.execute("INSERT INTO airflow_jobmon.job_state (job_name) VALUES ('sync')")
    (row,) = rows(conn, "SELECT * FROM airflow_jobmon.job_health")
    assert (row["health"], row["problems"], row["hours_since_last_run"]) == ("unknown", None, None)


def test_job_health_shows_monitored_jobs_and_none_that_was_renamed_or_disabled(conn):
    settings = Settings()
    apply_jobs(conn, [MonitoredJob(name="kept"), MonitoredJob(name="resting", enabled=False)], source="file:x")
    for name in ("kept", "resting", "old name"):
        log_run(conn, name)
    check_and_record(conn, settings)
    conn.execute("UPDATE public.jobs_log SET job_name = 'new name' WHERE job_name = 'old name'")
    evaluate_changed(conn, settings)
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = checked_at - interval '3 hours'")
    check_and_record(conn, settings)
    shown = conn.execute("SELECT job_name, health FROM airflow_jobmon.job_health ORDER BY job_name").fetchall()
    assert shown == [("kept", "ok"), ("new name", "ok")]


@pytest.mark.parametrize(
    "view", ["recent_executions", "success_rate", "failed_jobs", "performance_metrics", "daily_metrics"]
)
def test_a_query_for_one_job_reads_only_that_job(conn, view):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n % 200, now() - n * interval '1 minute', now(), 'success' FROM generate_series(1, 10000) n"
    )
    conn.execute("ANALYZE public.jobs_log")
    plan = conn.execute(f"EXPLAIN SELECT * FROM airflow_jobmon.{view} WHERE job_name = 'job 7'").fetchall()
    assert not any("Seq Scan on jobs_log" in line for (line,) in plan), plan


def test_the_weekly_review_has_a_row_for_each_of_two_weeks(conn):
    now = datetime.now(UTC)
    for days, seconds, records in ((1, 10, 7), (2, 30, None), (8, 50, 70), (15, 999, 999)):
        log_run(conn, "sync", started_at=now - timedelta(days=days), seconds=seconds, records_updated=records)
    log_run(conn, "sync", "failed", now - timedelta(days=3), seconds=500, error_message="boom")
    log_run(conn, "sync", "failed", now - timedelta(days=4), error_message="TEST ALERT - ignore")
    last, before = rows(conn, "SELECT * FROM airflow_jobmon.weekly_review ORDER BY week")
    assert (last["week"], last["total_runs"], last["failed_runs"]) == ("last 7 days", 3, 1)
    assert float(last["success_rate_percent"]) == pytest.approx(66.67)
    assert (last["avg_duration_seconds"], last["p95_duration_seconds"], last["max_duration_seconds"]) == (20, 29, 30)
    assert (float(last["records_updated_per_day"]), float(before["records_updated_per_day"])) == (1, 10)
    assert (before["week"], before["total_runs"], before["max_duration_seconds"]) == ("the 7 before", 1, 50)


def test_execution_frequency_measures_hours_between_starts(conn):
    now = datetime.now(UTC)
    for hours in (2, 26, 50, 98):
        log_run(conn, "sync", started_at=now - timedelta(hours=hours))
    log_run(conn, "once")
    once, sync = rows(conn, "SELECT * FROM airflow_jobmon.execution_frequency ORDER BY job_name")
    assert (once["total_runs"], once["avg_hours_between_starts"]) == (1, None)
    assert (sync["avg_hours_between_starts"], sync["p50_hours_between_starts"]) == (32, 24)
    assert (sync["min_hours_between_starts"], sync["max_hours_between_starts"]) == (24, 48)
    assert sync["hours_since_last_run"] == pytest.approx(2, abs=0.1)


def test_longest_runs_are_the_ten_longest_that_ended(conn):
    for number in range(12):
        log_run(conn, "sync", started_at=NOON + timedelta(minutes=number), seconds=number)
    log_run(conn, "sync", "running", NOON)
    found = rows(conn, "SELECT * FROM airflow_jobmon.longest_runs ORDER BY duration_seconds DESC")
    assert [row["duration_seconds"] for row in found] == [float(number) for number in range(11, 1, -1)]


def test_common_errors_are_grouped_without_their_numbers_and_ids(conn):
    texts = [
        "timeout after 3 s",
        "timeout after 4.5 s",
        "no order 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "no order DEADBEEF-4f89-11d3-9a0c-0305e82c3301",
        "at 0xDEAD",
        None,
    ]
    for number, text in enumerate(texts):
        log_run(conn, "sync", "failed", NOON + timedelta(minutes=number), error_message=text)
    found = rows(conn, "SELECT * FROM airflow_jobmon.common_errors ORDER BY error")
    assert [(row["error"], row["failed_runs"]) for row in found] == [
        ("", 1),
        ("at #", 1),
        ("no order #", 2),
        ("timeout after # s", 2),
    ]
    assert found[3]["last_failed_at"] - found[3]["first_failed_at"] == timedelta(minutes=1)
