"""Checks of a real log: what is recorded, which alerts are created, and concurrent checks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, Kind
from airflow_jobmon.errors import UnknownJob
from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events_by_job
from tests.support.logged_runs import install_now, log_run
from tests.support.moments import ago

SETTINGS = Settings(channels=("slack", "mail"), base_url="http://airflow:8080")
LONG_AGO = timedelta(days=400)


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def deliveries(conn) -> list[tuple[str, str, str]]:
    return conn.execute(
        "SELECT job_name, channel, state FROM airflow_jobmon.deliveries ORDER BY alert_id, channel"
    ).fetchall()


def incidents(conn) -> list[tuple]:
    return conn.execute(
        "SELECT job_name, kind, occurrences, resolved_at IS NULL FROM airflow_jobmon.incidents ORDER BY id"
    ).fetchall()


def evaluate_all_events(conn, settings=SETTINGS) -> int:
    count = 0
    while batch := evaluate_events(conn, settings).events:
        count += batch
    return count


def test_a_failed_run_opens_one_incident_and_alerts_on_every_channel(conn):
    log_run(conn, "load", status="failed", error_message="disk full")
    assert evaluate_all_events(conn) == 1
    assert incidents(conn) == [("load", "failed", 1, True)]
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]
    assert deliveries(conn) == [("load", "mail", "pending"), ("load", "slack", "pending")]
    details = conn.execute("SELECT details FROM airflow_jobmon.alerts").fetchone()[0]
    assert details["error"] == "disk full"
    assert details["logs_url"] == "http://airflow:8080/jobmon/?job_name=load"


def test_the_same_failure_again_is_counted_and_does_not_alert(conn):
    for minutes in (30, 20, 10):
        log_run(conn, "load", status="failed", started_at=ago(minutes=minutes), error_message=f"try {minutes} failed")
        evaluate_all_events(conn)
    assert incidents(conn) == [("load", "failed", 3, True)]
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]


def test_the_same_terminal_status_written_twice_is_one_occurrence(conn):
    run_id = log_run(conn, "load", status="failed", error_message="disk full")
    evaluate_all_events(conn)
    conn.execute("UPDATE jobs_log SET status = 'running' WHERE id = %s", [run_id])
    conn.execute("UPDATE jobs_log SET status = 'failed' WHERE id = %s", [run_id])
    assert evaluate_all_events(conn) == 1
    evaluate_changed(conn, SETTINGS)
    assert incidents(conn) == [("load", "failed", 1, True)]
    assert len(alert_events_by_job(conn)) == 1


def test_a_success_resolves_and_notifies_the_channels_of_the_failure(conn):
    log_run(conn, "load", status="failed", started_at=ago(minutes=30))
    evaluate_all_events(conn)
    conn.execute("DELETE FROM airflow_jobmon.deliveries WHERE channel = 'mail'")
    log_run(conn, "load", status="success", started_at=ago(minutes=5))
    assert evaluate_changed(conn, SETTINGS).alerts == 1
    assert incidents(conn) == [("load", "failed", 1, False)]
    assert alert_events_by_job(conn)[-1] == ("load", "failed", "resolved")
    assert deliveries(conn)[-1] == ("load", "slack", "pending")
    assert len(deliveries(conn)) == 2


def test_a_failure_overtaken_by_a_later_success_is_one_message(conn):
    log_run(conn, "load", status="failed", started_at=ago(minutes=30), completed_at=ago(minutes=29))
    log_run(conn, "load", status="success", started_at=ago(minutes=20), completed_at=ago(minutes=19))
    evaluate_all_events(conn)
    evaluate_changed(conn, SETTINGS)
    assert incidents(conn) == [("load", "failed", 1, False)]
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]
    details = conn.execute("SELECT details FROM airflow_jobmon.alerts").fetchone()[0]
    assert details["recovered"]
    assert "failed and recovered" in details["message"]


def test_an_old_run_that_fails_after_a_newer_one_succeeded_does_not_alert(conn):
    log_run(conn, "load", status="success", started_at=ago(minutes=20), completed_at=ago(minutes=19))
    log_run(conn, "load", status="failed", started_at=ago(minutes=30), completed_at=ago(minutes=1))
    evaluate_all_events(conn)
    assert incidents(conn) == []
    assert alert_events_by_job(conn) == []


def test_a_drill_alerts_and_is_not_counted(conn):
    log_run(conn, "load", status="success", started_at=ago(minutes=20))
    log_run(conn, "load", status="failed", error_message="TEST ALERT - Please ignore this simulated failure")
    conn.execute("DELETE FROM jobs_log WHERE error_message LIKE 'TEST ALERT%'")
    evaluate_all_events(conn)
    assert alert_events_by_job(conn) == [("load", "failed", "test")]
    assert incidents(conn) == []
    assert [health.status for health in evaluate_jobs(conn, SETTINGS)] == [Health.OK]


def test_a_run_deleted_before_its_evaluation_does_not_alert(conn):
    run_id = log_run(conn, "load", status="failed")
    conn.execute("DELETE FROM jobs_log WHERE id = %s", [run_id])
    assert evaluate_all_events(conn) == 1
    assert alert_events_by_job(conn) == []


def test_deleting_the_failed_run_resolves_its_incident(conn):
    log_run(conn, "load", status="success", started_at=ago(minutes=20))
    run_id = log_run(conn, "load", status="failed")
    evaluate_all_events(conn)
    conn.execute("DELETE FROM jobs_log WHERE id = %s", [run_id])
    evaluate_changed(conn, SETTINGS)
    assert incidents(conn) == [("load", "failed", 1, False)]


def test_a_failed_run_without_an_event_is_found_by_the_sweep(conn):
    log_run(conn, "load", status="failed", error_message="disk full")
    conn.execute("DELETE FROM airflow_jobmon.events")
    assert evaluate_changed(conn, SETTINGS).alerts == 1
    assert incidents(conn) == [("load", "failed", 1, True)]


def test_a_sweep_with_nothing_new_evaluates_nothing(conn):
    log_run(conn, "load", status="success")
    assert evaluate_changed(conn, SETTINGS).jobs == 1
    assert evaluate_changed(conn, SETTINGS).jobs == 0


def test_a_missed_run_alerts_once_and_is_resolved_by_the_next_start(conn):
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    log_run(conn, "load", started_at=ago(hours=26))
    evaluate_changed(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    assert alert_events_by_job(conn) == [("load", "missed", "opened")]
    log_run(conn, "load", status="running", completed_at=None, started_at=ago(seconds=1))
    evaluate_changed(conn, SETTINGS)
    assert alert_events_by_job(conn) == [("load", "missed", "opened"), ("load", "missed", "resolved")]


def test_an_unregistered_job_is_never_missed_under_learn_and_is_under_defaults(conn):
    log_run(conn, "load", started_at=ago(hours=26))
    assert evaluate_jobs(conn, SETTINGS)[0].findings == ()
    strict = Settings(channels=("slack",), unregistered_jobs="defaults")
    assert [found.kind for found in evaluate_jobs(conn, strict)[0].findings] == [Kind.MISSED]
    assert evaluate_jobs(conn, Settings(unregistered_jobs="ignore")) == []


def test_a_finding_from_before_the_installation_is_recorded_and_does_not_alert(conn):
    log_run(conn, "load", started_at=ago(hours=50), status="failed")
    install_now(conn)
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    evaluate_jobs(conn, SETTINGS)
    assert {(kind, is_open) for _, kind, _, is_open in incidents(conn)} == {("failed", True), ("missed", True)}
    assert alert_events_by_job(conn) == []


@pytest.mark.parametrize(
    ("status", "kind"), [pytest.param("success", "missed", id="missed"), pytest.param("running", "stuck", id="stuck")]
)
def test_a_job_that_the_log_did_not_show_at_the_installation_is_watched_from_its_first_run_on(conn, status, kind):
    log_run(conn, "another")
    install_now(conn)
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    log_run(conn, "load", started_at=ago(hours=26), status=status)
    evaluate_jobs(conn, SETTINGS)
    assert ("load", kind, "opened") in alert_events_by_job(conn)


def test_the_success_rate_is_counted_by_the_full_check_and_kept_for_the_fast_one(conn):
    for hours in range(1, 11):
        log_run(conn, "load", started_at=ago(hours=hours), status="failed" if hours in {3, 4} else "success")
    install_now(conn)
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '2 hours'")
    conn.execute("UPDATE airflow_jobmon.job_state SET first_seen_at = first_seen_at - interval '2 hours'")
    apply_jobs(conn, [MonitoredJob(name="load", every="1h")], source="test")
    conn.execute("DELETE FROM airflow_jobmon.events")
    assert evaluate_jobs(conn, SETTINGS)[0].success_rate == 80.0
    assert alert_events_by_job(conn) == [("load", "low_success_rate", "opened")]
    log_run(conn, "load", started_at=ago(minutes=1), status="failed")
    evaluate_all_events(conn)
    assert [kind for _, kind, _, is_open in incidents(conn) if is_open] == ["low_success_rate", "failed"]
    stored = conn.execute("SELECT verdict FROM airflow_jobmon.job_state").fetchone()[0]
    assert stored["success_rate"] == 80.0


def test_a_job_alerts_on_its_own_channels(conn):
    apply_jobs(conn, [MonitoredJob(name="load", channels=("pager",))], source="test")
    log_run(conn, "load", status="failed")
    evaluate_all_events(conn)
    assert deliveries(conn) == [("load", "pager", "pending")]


def test_an_evaluation_at_a_past_time_sees_neither_later_runs_nor_later_ends(conn):
    log_run(conn, "load", started_at=ago(hours=3), completed_at=ago(hours=2), status="failed")
    log_run(conn, "load", started_at=ago(minutes=30), status="success")
    then = assess_jobs(conn, SETTINGS, at=ago(hours=1))[0]
    assert (then.status, then.consecutive_failures) == (Health.CRITICAL, 1)
    before = assess_jobs(conn, SETTINGS, at=ago(hours=2, minutes=30))[0]
    assert before.last_run.status == "running"
    assert before.last_run.completed_at is None
    assert before.status is Health.UNKNOWN
    assert assess_jobs(conn, SETTINGS)[0].status is Health.OK
    assert alert_events_by_job(conn) == []


def test_an_unknown_job_is_an_error_that_names_it(conn):
    with pytest.raises(UnknownJob, match="'laod' is neither registered nor in"):
        evaluate_jobs(conn, SETTINGS, ["laod"])


def test_concurrent_evaluations_alert_once_per_failure(conn, database):
    for n in range(300):
        log_run(conn, f"job {n % 60}", status="failed", started_at=ago(seconds=300 - n), error_message="disk full")
    claimed = []

    def evaluate():
        with connect(database) as own:
            claimed.append(evaluate_all_events(own))

    threads = [threading.Thread(target=evaluate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claimed) == 300
    assert len(incidents(conn)) == len(alert_events_by_job(conn)) == 60
    assert sum(occurrences for _, _, occurrences, _ in incidents(conn)) == 300


def test_hostile_names_texts_and_times_are_evaluated_like_any_other(conn):
    hostile = "'; DROP TABLE jobs_log; -- \U0001f4a3 \u202e <!channel> {{ 7*7 }} %(x)s \\"
    log_run(conn, hostile, status="failed", error_message=hostile)
    log_run(conn, "future", status="failed", started_at=datetime(9998, 1, 1, tzinfo=UTC), completed_at=None)
    conn.execute("INSERT INTO jobs_log (job_name, started_at, status) VALUES ('infinite', 'infinity', 'failed')")
    conn.execute("INSERT INTO jobs_log (job_name, started_at, status) VALUES ('ancient', '4000-01-01 BC', 'failed')")
    evaluate_all_events(conn)
    evaluate_changed(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert (hostile, "failed", "opened") in alert_events_by_job(conn)
    assert conn.execute(
        "SELECT details ->> 'error' FROM airflow_jobmon.alerts WHERE job_name = %s", [hostile]
    ).fetchone() == (hostile,)


def test_an_event_that_cannot_be_stored_blocks_no_other(conn):
    conn.execute(
        "INSERT INTO airflow_jobmon.events (run_id, job_name, started_at) "
        "SELECT '1', string_agg(md5(n::text), ''), now() FROM generate_series(1, 500) AS n"
    )
    log_run(conn, "load", status="failed")
    assert evaluate_all_events(conn) == 2
    assert alert_events_by_job(conn) == [("load", "failed", "opened")]


def test_events_of_jobs_that_are_not_watched_are_dropped(conn):
    apply_jobs(conn, [MonitoredJob(name="off", enabled=False), MonitoredJob(name="on")], source="test")
    for name in ("off", "on", "stranger"):
        log_run(conn, name, status="failed")
    settings = Settings(channels=("slack",), unregistered_jobs="ignore")
    evaluate_all_events(conn, settings)
    evaluate_changed(conn, settings)
    assert alert_events_by_job(conn) == [("on", "failed", "opened")]
