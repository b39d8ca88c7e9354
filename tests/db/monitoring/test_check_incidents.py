"""Incidents over time: opened, repeated, silenced, closed; and one bad row does not stop the others."""

from __future__ import annotations

import random

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.postgres.facts import request_facts
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events
from tests.support.logged_runs import finish_run, install_now, log_run
from tests.support.moments import ago

SETTINGS = Settings(channels=("slack",))


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def register(conn, **fields) -> None:
    apply_jobs(conn, [MonitoredJob(name="load", **fields)], source="test")


def fail(conn, minutes_ago: float, error: str | None = "disk full") -> str:
    run_id = log_run(conn, "load", status="failed", started_at=ago(minutes=minutes_ago), error_message=error)
    evaluate_events(conn, SETTINGS)
    return run_id


def test_the_sweep_repeats_an_open_critical_incident_when_its_interval_has_passed(conn):
    register(conn, realert_interval="15m", every="1d")
    fail(conn, 1)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]
    conn.execute("UPDATE airflow_jobmon.incidents SET told_at = told_at - interval '15 minutes'")
    conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = judge_at - interval '15 minutes'")
    evaluate_changed(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened"), ("failed", "repeated")]
    message, at = conn.execute(
        "SELECT details ->> 'message', (details ->> 'at')::timestamptz FROM airflow_jobmon.alerts ORDER BY id DESC"
    ).fetchone()
    assert message.startswith("still open since ")
    assert ago(minutes=1) < at


def test_a_new_error_text_alerts_at_once_whichever_of_the_new_failures_has_it(conn):
    fail(conn, 30, "timeout")
    log_run(conn, "load", status="failed", started_at=ago(minutes=20), error_message="disk full")
    log_run(conn, "load", status="failed", started_at=ago(minutes=10), error_message="timeout")
    evaluate_events(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened"), ("failed", "repeated")]
    fail(conn, 5, "disk full")
    assert len(alert_events(conn)) == 2


def test_failures_without_any_text_alert_once(conn):
    for minutes in (40, 30, 20, 10):
        fail(conn, minutes, None)
    assert alert_events(conn) == [("failed", "opened")]


def test_a_preexisting_finding_stays_recorded_until_it_happens_again(conn):
    log_run(conn, "load", status="failed", started_at=ago(hours=26))
    install_now(conn)
    register(conn)
    evaluate_jobs(conn, SETTINGS)
    conn.execute("UPDATE airflow_jobmon.incidents SET detected_at = detected_at - interval '100 days'")
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == []
    log_run(conn, "load", status="failed", seconds=0)
    evaluate_events(conn, SETTINGS)
    assert ("failed", "opened") in alert_events(conn)


def test_an_old_failure_that_is_loaded_into_the_log_does_not_alert(conn):
    log_run(conn, "load", status="failed", started_at=ago(days=3))
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.incidents WHERE resolved_at IS NULL").fetchone() == (1,)


def test_a_failure_with_an_event_alerts_even_if_it_is_evaluated_days_later(conn):
    log_run(conn, "load", status="failed", started_at=ago(days=3), completed_at=ago(hours=1))
    conn.execute("UPDATE jobs_log SET completed_at = %s", [ago(days=2)])
    evaluate_events(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]


def test_an_old_failure_that_the_sweep_counts_before_its_event_is_evaluated_alerts(conn):
    log_run(conn, "load", status="failed", started_at=ago(days=3), completed_at=ago(hours=1))
    conn.execute("UPDATE jobs_log SET completed_at = %s", [ago(days=2)])
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
    evaluate_events(conn, SETTINGS)
    evaluate_events(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]


def test_old_failures_that_are_loaded_one_by_one_do_not_alert(conn):
    for days in (6, 5, 3):
        log_run(conn, "load", status="failed", started_at=ago(days=days))
        evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
    assert conn.execute("SELECT occurrences FROM airflow_jobmon.incidents").fetchone() == (3,)
    fail(conn, 5)
    assert alert_events(conn) == [("failed", "opened")]


@pytest.mark.parametrize("newer", ["failed", "success"])
def test_a_run_that_ends_after_a_newer_one_changes_nothing(conn, newer):
    register(conn)
    late = log_run(conn, "load", status="running", started_at=ago(minutes=30))
    log_run(conn, "load", status=newer, started_at=ago(minutes=20), error_message="disk full")
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    before = alert_events(conn), conn.execute("SELECT * FROM airflow_jobmon.incidents").fetchall()
    finish_run(conn, late, "failed", error_message="another error")
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert (alert_events(conn), conn.execute("SELECT * FROM airflow_jobmon.incidents").fetchall()) == before


def test_a_run_that_fails_after_a_newer_one_does_not_count_as_a_failure_in_a_row(conn):
    register(conn, failures_to_alert=2)
    late = log_run(conn, "load", status="running", started_at=ago(minutes=30))
    fail(conn, 20)
    finish_run(conn, late, "failed", error_message="another error")
    evaluate_events(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == []
    assert assess_jobs(conn, SETTINGS)[0].consecutive_failures == 1


@pytest.mark.parametrize(
    ("failures", "alerts"),
    [pytest.param(1, [], id="too few"), pytest.param(2, [("failed", "opened")], id="enough")],
)
def test_with_failures_to_alert_only_that_many_in_a_row_alert(conn, failures, alerts):
    register(conn, failures_to_alert=2)
    for n in range(failures):
        fail(conn, 30 - n)
    assert alert_events(conn) == alerts
    occurrences = [n for (n,) in conn.execute("SELECT occurrences FROM airflow_jobmon.incidents")]
    assert occurrences == ([2] if alerts else [])


@pytest.mark.parametrize(
    ("failures", "alerts"),
    [pytest.param(1, [], id="too few"), pytest.param(2, [("failed", "opened")], id="enough")],
)
def test_with_failures_to_alert_that_many_which_recovered_before_the_evaluation_alert_once(conn, failures, alerts):
    register(conn, failures_to_alert=2)
    for n in range(failures):
        log_run(conn, "load", status="failed", started_at=ago(minutes=30 - n))
    log_run(conn, "load", started_at=ago(minutes=5))
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == alerts


def test_failures_that_were_not_in_a_row_do_not_alert_when_evaluated_late(conn):
    register(conn, failures_to_alert=2)
    for n in range(3):
        log_run(conn, "load", status="failed", started_at=ago(minutes=50 - 10 * n))
        log_run(conn, "load", started_at=ago(minutes=45 - 10 * n))
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []


def test_failures_in_a_row_count_when_only_the_last_one_is_evaluated_late(conn):
    register(conn, failures_to_alert=3)
    fail(conn, 30)
    fail(conn, 20)
    log_run(conn, "load", status="failed", started_at=ago(minutes=10))
    log_run(conn, "load", started_at=ago(minutes=5))
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]


def test_failures_in_a_row_are_counted_as_health_counts_them(conn):
    """However runs overlap: for the run that health is evaluated from, both counts are equal."""
    chance = random.Random(7)
    names = [f"job {n}" for n in range(100)]
    for name in names:
        for _ in range(chance.randint(1, 7)):
            status, started_at = chance.choice(["failed", "failed", "success"]), ago(minutes=chance.randint(10, 20))
            log_run(conn, name, status, started_at, seconds=60 * chance.randint(0, 8))
    facts = request_facts(conn, names, count_window=False)
    found = [facts.of(MonitoredJob(name=name), ago(days=1)) for name in names]
    failed = {one.last_finished: one.failed_in_a_row for one in found if one.last_finished.status == "failed"}
    counted = IncidentRepository(conn).failures_in_a_row(list(failed))
    assert {(name, run_id): in_a_row for name, runs in counted.items() for run_id, in_a_row in runs.items()} == {
        (run.job_name, run.id): in_a_row for run, in_a_row in failed.items()
    }


def test_a_failed_run_without_an_end_that_recovered_alerts(conn):
    log_run(conn, "load", status="running", started_at=ago(minutes=30))
    conn.execute("UPDATE jobs_log SET status = 'failed'")
    log_run(conn, "load", started_at=ago(minutes=5))
    evaluate_events(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]


def test_an_incident_resolved_by_a_run_whose_clock_is_ahead_ends_now(conn):
    log_run(conn, "load", started_at=ago(days=-2))
    fail(conn, 5)
    assert alert_events(conn) == [("failed", "opened")]
    query = "SELECT opened_at < resolved_at, resolved_at <= now() FROM airflow_jobmon.incidents"
    assert conn.execute(query).fetchall() == [(True, True)]


def test_a_resolution_without_a_run_is_dated_now(conn):
    log_run(conn, "load", started_at=ago(days=4))
    run_id = log_run(conn, "load", status="failed", started_at=ago(hours=20))
    evaluate_changed(conn, SETTINGS)
    conn.execute("DELETE FROM jobs_log WHERE id = %s", [run_id])
    evaluate_changed(conn, SETTINGS)
    message = conn.execute("SELECT details ->> 'message' FROM airflow_jobmon.alerts ORDER BY id DESC").fetchone()[0]
    assert message.startswith("it lasted 20.0 h")


def test_an_incident_that_a_new_limit_resolves_ends_now(conn):
    register(conn, max_duration="1m")
    log_run(conn, "load", started_at=ago(hours=2), seconds=600)
    evaluate_changed(conn, SETTINGS)
    register(conn, max_duration="1h")
    evaluate_changed(conn, SETTINGS)
    message = conn.execute("SELECT details ->> 'message' FROM airflow_jobmon.alerts ORDER BY id DESC").fetchone()[0]
    assert message.startswith("it lasted 1.8 h")


def test_an_incident_that_an_edit_of_the_run_resolves_ends_now(conn):
    run_id = fail(conn, 60)
    conn.execute("UPDATE jobs_log SET status = 'success' WHERE id = %s", [run_id])
    evaluate_changed(conn, SETTINGS)
    message = conn.execute("SELECT details ->> 'message' FROM airflow_jobmon.alerts ORDER BY id DESC").fetchone()[0]
    assert message.startswith("it lasted 59 min 50 s")


@pytest.mark.parametrize("way", ["disabled", "ignored"])
def test_incidents_of_a_job_that_is_no_longer_watched_close_without_an_alert(conn, way):
    if way == "disabled":
        register(conn)
    fail(conn, 5)
    if way == "disabled":
        register(conn, enabled=False)
    settings = Settings(channels=("slack",), unregistered_jobs="ignore" if way == "ignored" else "learn")
    evaluate_jobs(conn, settings)
    assert alert_events(conn) == [("failed", "opened")]
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.incidents WHERE resolved_at IS NULL").fetchone() == (0,)
    assert evaluate_changed(conn, settings).jobs == 0


def test_an_unregistered_job_silent_for_a_week_does_not_alert_under_defaults_either(conn):
    log_run(conn, "load", started_at=ago(days=60))
    evaluate_jobs(conn, Settings(channels=("slack",), unregistered_jobs="defaults"))
    assert alert_events(conn) == []


def test_a_drill_with_a_name_that_no_job_has_creates_no_job(conn):
    log_run(conn, "unknown", status="failed", error_message="TEST ALERT - ignore")
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "test")]
    assert evaluate_jobs(conn, SETTINGS) == assess_jobs(conn, SETTINGS) == []
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.job_state").fetchone() == (0,)


def test_a_job_with_an_empty_name_is_evaluated_like_any_other(conn):
    log_run(conn, "", status="failed")
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert [health.status for health in assess_jobs(conn, SETTINGS)] == [Health.CRITICAL]


def test_a_name_that_our_tables_cannot_hold_blocks_no_other_job(conn):
    conn.execute("DROP INDEX IF EXISTS public.jobs_log_job_name_started_at_idx")
    for (index,) in conn.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'jobs_log' AND indexdef LIKE '%job_name%'"
    ).fetchall():
        conn.execute(f'DROP INDEX public."{index}"')
    long = conn.execute("SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500) AS n").fetchone()[0]
    log_run(conn, long, status="failed")
    log_run(conn, "load", status="failed")
    conn.execute("DELETE FROM airflow_jobmon.events")
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("failed", "opened")]
    assert "load" in [health.job_name for health in evaluate_jobs(conn, SETTINGS)]


def test_a_registry_entry_that_cannot_be_read_here_blocks_no_other_job(conn):
    register(conn)
    conn.execute(
        "INSERT INTO airflow_jobmon.jobs (name, source, config) "
        """VALUES ('far', 'test', '{"name": "far", "schedule": "0 2 * * *", "timezone": "Mars/Olympus"}')"""
    )
    log_run(conn, "far")
    fail(conn, 5)
    assert alert_events(conn) == [("failed", "opened")]
    assert {health.job_name for health in evaluate_jobs(conn, SETTINGS)} == {"far", "load"}


def test_times_that_no_calendar_can_calculate_with_block_no_other_job(conn):
    apply_jobs(conn, [MonitoredJob(name="ancient", schedule="0 2 * * *", timezone="America/New_York")], source="test")
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, status) VALUES ('ancient', '0001-01-01 00:00+00', 'success')"
    )
    fail(conn, 5)
    for check in (evaluate_jobs, assess_jobs):
        assert "load" in [health.job_name for health in check(conn, SETTINGS)]


def test_the_newest_of_two_runs_with_the_same_times_is_always_the_same(conn):
    at = ago(minutes=5)
    for status in ("failed", "success", "failed", "success"):
        log_run(conn, "load", status=status, started_at=at, completed_at=at)
    newest = {assess_jobs(conn, SETTINGS)[0].last_run.id for _ in range(3)}
    assert len(newest) == 1


def test_an_evaluation_at_a_past_time_does_not_show_what_a_run_did_later(conn):
    log_run(
        conn,
        "load",
        status="failed",
        started_at=ago(hours=3),
        completed_at=ago(hours=1),
        records_updated=7,
        error_message="x",
    )
    then = assess_jobs(conn, SETTINGS, at=ago(hours=2))[0].last_run
    assert (then.status, then.error_message, then.records_updated) == ("running", None, None)


def changed_schedule(conn) -> bool:
    return conn.execute("SELECT scheduled_since IS NOT NULL FROM airflow_jobmon.jobs").fetchone()[0]


@pytest.mark.parametrize(
    ("fields", "is_news"),
    [
        pytest.param({"every": "1h"}, True, id="its schedule"),
        pytest.param({"every": "3h", "enabled": False}, True, id="whether it is watched"),
        pytest.param({"every": "3h", "owner": "billing"}, False, id="who owns it"),
        pytest.param({"every": "3h", "grace": "5m"}, False, id="its grace"),
    ],
)
def test_a_change_of_the_schedule_is_stored_with_its_time(conn, fields, is_news):
    register(conn, every="3h")
    assert not changed_schedule(conn)
    register(conn, **fields)
    assert changed_schedule(conn) is is_news


def test_a_new_schedule_makes_no_run_missed_that_was_not_missed_by_the_old_one(conn):
    register(conn, every="1d", grace="1m")
    log_run(conn, "load", started_at=ago(hours=5))
    evaluate_changed(conn, SETTINGS)
    register(conn, every="1h", grace="1m")
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
    conn.execute("UPDATE airflow_jobmon.jobs SET scheduled_since = scheduled_since - interval '62 minutes'")
    conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp() - interval '1 second'")
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened")]


def test_a_new_schedule_does_not_excuse_what_the_old_one_missed(conn):
    register(conn, every="3h", grace="1m")
    log_run(conn, "load", started_at=ago(hours=5))
    evaluate_changed(conn, SETTINGS)
    register(conn, every="2h", grace="1m")
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened")]


def test_a_job_that_is_enabled_again_has_missed_nothing_meanwhile(conn):
    register(conn, every="1h", grace="1m", enabled=False)
    log_run(conn, "load", started_at=ago(days=30))
    evaluate_changed(conn, SETTINGS)
    register(conn, every="1h", grace="1m")
    evaluate_changed(conn, SETTINGS)
    assert alert_events(conn) == []
