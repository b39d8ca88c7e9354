"""Trends are computed once a day, stored, and shown in a job's health; they alert no one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, Kind
from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_jobs
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.trends import store_trends
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.trigger_events import Conn


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def dry(conn: Conn) -> Conn:
    """A job whose last four whole days updated no records and took three times as long as in the two months before."""
    apply_jobs(conn, [MonitoredJob(name="sync", every="36h")], source="test")
    for ago in range(1, 63):
        log_run(
            conn,
            "sync",
            # Within the last 24 hours, however late it is.
            started_at=datetime.combine(today() - timedelta(days=ago), time(23, 59, 59), UTC),
            seconds=30 if ago <= 4 else 10,
            records_updated=0 if ago <= 4 else 50,
        )
    return conn


def findings(conn: Conn, **given: Any) -> list[Kind]:
    (health,) = assess_jobs(conn, Settings(**given))
    return [found.kind for found in health.findings]


def stored(conn: Conn) -> tuple[list[str], date | None]:
    trends, on = conn.execute("SELECT trends, trends_on FROM airflow_jobmon.job_state").fetchone()
    return [found["kind"] for found in trends], on


def test_the_full_check_finds_trends_and_sweeps_and_readers_keep_them(dry):
    (health,) = evaluate_jobs(dry, Settings())
    assert [found.kind for found in health.findings] == [Kind.RISING_DURATION, Kind.ZERO_RECORDS]
    assert health.status is Health.WARNING
    assert stored(dry) == (["rising_duration", "zero_records"], today())
    dry.execute("UPDATE airflow_jobmon.job_state SET judge_at = now() - interval '1 s'")
    assert evaluate_changed(dry, Settings()).jobs == 1
    problems = dry.execute("SELECT health, problems FROM airflow_jobmon.job_health").fetchone()
    assert problems[0] == "warning"
    assert "no records updated on 4 days in a row" in problems[1]
    assert findings(dry) == [Kind.RISING_DURATION, Kind.ZERO_RECORDS]


def test_trends_open_no_incident_and_do_not_alert(dry):
    evaluate_jobs(dry, Settings(channels=("slack",)))
    assert dry.execute("SELECT count(*) FROM airflow_jobmon.incidents").fetchone() == (0,)
    assert dry.execute("SELECT count(*) FROM airflow_jobmon.alerts").fetchone() == (0,)


def test_trends_are_computed_once_a_day(dry):
    assert store_trends(dry, ["sync"], today=today()) == 1
    assert store_trends(dry, ["sync"], today=today()) == 0
    assert store_trends(dry, ["sync"], today=today() + timedelta(days=1)) == 1


def test_a_reader_computes_trends_that_are_not_stored_and_stores_nothing(dry):
    assert findings(dry) == [Kind.RISING_DURATION, Kind.ZERO_RECORDS]
    assert dry.execute("SELECT count(*) FROM airflow_jobmon.job_state WHERE trends_on IS NOT NULL").fetchone() == (0,)


def test_stored_trends_are_not_computed_again(dry):
    evaluate_jobs(dry, Settings())
    dry.execute("DELETE FROM public.jobs_log WHERE started_at < now() - interval '20 days'")
    assert findings(dry) == [Kind.RISING_DURATION, Kind.ZERO_RECORDS]


def test_an_evaluation_at_a_past_time_computes_trends_from_the_days_before_it(dry):
    evaluate_jobs(dry, Settings())
    (health,) = assess_jobs(dry, Settings(), at=datetime.now(UTC) - timedelta(days=10))
    assert health.findings == ()


def test_a_run_that_updates_records_ends_zero_records_at_once(dry):
    evaluate_jobs(dry, Settings())
    log_run(dry, "sync", records_updated=3)
    evaluate_changed(dry, Settings())
    assert findings(dry) == [Kind.RISING_DURATION]


def test_trends_are_computed_again_after_the_registry_entry_changes(dry):
    evaluate_jobs(dry, Settings())
    apply_jobs(dry, [MonitoredJob(name="sync", every="36h", zero_records_days=0)], source="test")
    assert findings(dry) == [Kind.RISING_DURATION]
    evaluate_jobs(dry, Settings())
    assert stored(dry) == (["rising_duration"], today())


def test_unregistered_jobs_have_trends_only_under_defaults(dry):
    dry.execute("DELETE FROM airflow_jobmon.jobs")
    evaluate_jobs(dry, Settings())
    assert stored(dry) == ([], None)
    assert findings(dry) == []
    assert findings(dry, unregistered_jobs="defaults") == [Kind.RISING_DURATION, Kind.ZERO_RECORDS]
    evaluate_jobs(dry, Settings(unregistered_jobs="defaults"))
    assert stored(dry) == (["rising_duration", "zero_records"], today())
