"""After an outage of the watchers: what fell due, ran late or failed meanwhile alerts once, with the right date."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import install_now, log_run
from tests.support.moments import ago

SETTINGS = Settings(channels=("slack",))


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def register(conn, **fields) -> None:
    apply_jobs(conn, [MonitoredJob(name="load", **fields)], source="test")


def last_evaluated(conn, back: timedelta) -> None:
    """Date all evaluations back by `back`, as if the watchers had been down since."""
    conn.execute(
        "UPDATE airflow_jobmon.job_state SET checked_at = checked_at - %(back)s, judge_at = judge_at - %(back)s,"
        " due_at = due_at - %(back)s, verdict = coalesce(jsonb_set(verdict, '{last_run,started_at}',"
        " to_jsonb((verdict #>> '{last_run,started_at}')::timestamptz - %(back)s)), verdict)",
        {"back": back},
    )
    conn.execute(
        "UPDATE jobs_log SET started_at = started_at - %(back)s, completed_at = completed_at - %(back)s", {"back": back}
    )
    conn.execute("UPDATE airflow_jobmon.jobs SET registered_at = registered_at - %s", [back])


def alert_events(conn) -> list[tuple[str, str, bool]]:
    return conn.execute(
        "SELECT kind, event, (details ->> 'recovered')::boolean FROM airflow_jobmon.alerts ORDER BY id"
    ).fetchall()


def incidents(conn) -> list[tuple]:
    return conn.execute("SELECT kind, opened_at, resolved_at FROM airflow_jobmon.incidents ORDER BY id").fetchall()


def close(moment: datetime, other: datetime) -> bool:
    return abs(moment - other) < timedelta(seconds=30)


@pytest.fixture
def down_for_ten_hours(conn):
    """An hourly job, in time when it was last evaluated."""
    register(conn, every="1h", grace="10m", max_duration="1h")
    log_run(conn, "load", seconds=0)
    evaluate_changed(conn, SETTINGS)
    last_evaluated(conn, timedelta(hours=10))


def test_a_run_that_never_came_is_missed_since_it_was_due(conn, down_for_ten_hours):
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", False)]
    ((_, opened_at, resolved_at),) = incidents(conn)
    assert close(opened_at, ago(hours=10) + timedelta(minutes=70))
    assert resolved_at is None


def test_runs_in_time_do_not_alert(conn, down_for_ten_hours):
    for hours in range(10):
        log_run(conn, "load", started_at=ago(hours=hours, seconds=20))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_a_late_run_alerts_once_as_missed_and_recovered(conn, down_for_ten_hours):
    for hours in (6, 5, 4, 3, 2, 1, 0):
        log_run(conn, "load", started_at=ago(hours=hours, seconds=20))
    for _ in range(3):
        evaluate_changed(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", True)]
    ((kind, opened_at, resolved_at),) = incidents(conn)
    assert kind == "missed"
    assert close(opened_at, ago(hours=10) + timedelta(minutes=70))
    assert close(resolved_at, ago(hours=6))


def test_a_job_that_ran_late_and_is_missed_again_is_one_alert(conn, down_for_ten_hours):
    log_run(conn, "load", started_at=ago(hours=5))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", False)]
    assert close(incidents(conn)[0][1], ago(hours=5) + timedelta(minutes=70))


def test_several_late_runs_in_one_outage_are_one_alert(conn, down_for_ten_hours):
    for hours in (8, 7, 4, 3, 2, 1, 0):
        log_run(conn, "load", started_at=ago(hours=hours, seconds=20))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", True)]
    message = conn.execute("SELECT details ->> 'message' FROM airflow_jobmon.alerts").fetchone()[0]
    assert "2 runs were late" in message


def test_a_missed_run_from_before_the_outage_is_resolved_by_the_run_that_came(conn, down_for_ten_hours):
    evaluate_changed(conn, SETTINGS)
    for hours in (2, 1, 0):
        log_run(conn, "load", started_at=ago(hours=hours, seconds=20))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", False), ("missed", "resolved", False)]
    assert close(incidents(conn)[0][2], ago(hours=2))


@pytest.mark.parametrize("change", ["another schedule", "taken out"])
def test_a_job_whose_registry_entry_changed_meanwhile_is_not_late(conn, down_for_ten_hours, change):
    if change == "another schedule":
        register(conn, every="2d")
    else:
        apply_jobs(conn, [], source="test", prune=True)
    log_run(conn, "load", seconds=0)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_a_first_run_after_its_deadline_alerts_as_late(conn):
    register(conn, every="1h", grace="10m")
    evaluate_changed(conn, SETTINGS)
    last_evaluated(conn, timedelta(hours=10))
    log_run(conn, "load", seconds=20)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened", True)]


def test_a_run_that_is_logged_late_but_started_in_time_does_not_alert(conn, down_for_ten_hours):
    for hours in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
        log_run(conn, "load", started_at=ago(hours=hours, seconds=20), completed_at=ago(seconds=1))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_a_stuck_run_is_stuck_since_its_timeout_passed(conn):
    register(conn, every="2d", timeout="1h")
    log_run(conn, "load", status="running", started_at=ago(hours=9))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("stuck", "opened", False)]
    opened_at = conn.execute("SELECT opened_at FROM airflow_jobmon.incidents").fetchone()[0]
    assert close(opened_at, ago(hours=8))


def fail_unnoted(conn, minutes_ago: float, error: str = "disk full") -> str:
    """A failed run without an event."""
    run_id = log_run(conn, "load", status="failed", started_at=ago(minutes=minutes_ago), error_message=error)
    conn.execute("DELETE FROM airflow_jobmon.events")
    return run_id


@pytest.mark.parametrize("way", ["sweep", "full check", "event of another run"])
def test_a_failed_run_without_an_event_is_found_even_after_a_newer_success(conn, way):
    log_run(conn, "load", started_at=ago(minutes=50))
    evaluate_changed(conn, SETTINGS)
    fail_unnoted(conn, 40)
    log_run(conn, "load", started_at=ago(minutes=30))
    if way == "sweep":
        evaluate_changed(conn, SETTINGS)
    elif way == "full check":
        evaluate_jobs(conn, SETTINGS)
    else:
        log_run(conn, "load", status="failed", started_at=ago(minutes=20))
        log_run(conn, "load", started_at=ago(minutes=10))
        evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened", True)]


def test_all_failed_runs_without_an_event_are_counted(conn):
    for minutes in (30, 20, 10):
        fail_unnoted(conn, minutes)
    evaluate_changed(conn, SETTINGS)
    assert conn.execute("SELECT occurrences FROM airflow_jobmon.incidents").fetchall() == [(3,)]
    assert alert_events(conn) == [("failed", "opened", False)]


def test_old_failures_loaded_with_the_success_after_them_do_not_alert(conn):
    log_run(conn, "load", status="failed", started_at=ago(days=3))
    log_run(conn, "load", started_at=ago(hours=1))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_failures_of_a_disabled_job_do_not_alert_when_it_is_enabled(conn):
    register(conn, enabled=False)
    log_run(conn, "load", started_at=ago(minutes=50))
    evaluate_changed(conn, SETTINGS)
    fail_unnoted(conn, 40)
    log_run(conn, "load", started_at=ago(minutes=30))
    evaluate_changed(conn, SETTINGS)
    register(conn)
    log_run(conn, "load", started_at=ago(minutes=5))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_a_failure_that_recovered_before_the_installation_does_not_alert(conn):
    fail_unnoted(conn, 40)
    log_run(conn, "load", started_at=ago(minutes=30))
    install_now(conn)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
