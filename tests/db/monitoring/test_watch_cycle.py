"""The poll cycle: short steps that hold no lock, by the database's clock, and no job evaluated twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import (
    BATCH,
    evaluate_changed,
    evaluate_due,
    evaluate_events,
    evaluate_jobs,
    sweep,
)
from airflow_jobmon.monitoring.watch_cycle import LiveWatcherStatus, WatchCycle
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events
from tests.support.logged_runs import log_run
from tests.support.running_watchers import HOURLY_SWEEPS

SETTINGS = Settings(channels=("slack",))


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def log_many(conn, jobs: int) -> None:
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n, now(), now(), 'success' FROM generate_series(1, %s) AS n",
        [jobs],
    )


def overdue(conn, **fields) -> None:
    """A job that was healthy at its last evaluation, and whose deadline has passed since."""
    apply_jobs(conn, [MonitoredJob(name="load", every="1h", grace="10m", **fields)], source="test")
    log_run(conn, "load", seconds=0)
    evaluate_changed(conn, SETTINGS)
    conn.execute(
        "UPDATE jobs_log SET started_at = now() - interval '2 hours', completed_at = now() - interval '2 hours'"
    )
    conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp() - interval '1 second'")


def test_between_two_steps_no_job_is_locked_and_a_failure_is_evaluated(conn, database):
    log_many(conn, 2 * BATCH)
    with connect(database) as own:
        steps = sweep(own, SETTINGS)
        assert next(steps).jobs == BATCH
        assert len(conn.execute("SELECT FROM airflow_jobmon.job_state FOR UPDATE NOWAIT").fetchall()) >= BATCH
        log_run(conn, "fresh", status="failed")
        assert evaluate_events(own, SETTINGS).alerts == 1
        assert [step.jobs for step in steps] == [BATCH]


def test_a_job_that_another_watcher_has_evaluated_meanwhile_is_left_out(conn, database):
    log_many(conn, 2 * BATCH)
    with connect(database) as own:
        steps = sweep(own, SETTINGS)
        next(steps)
        assert evaluate_changed(conn, SETTINGS).jobs == BATCH
        assert [step.jobs for step in steps] == [0]


def test_jobs_that_are_due_are_evaluated_without_a_sweep(conn):
    overdue(conn)
    assert evaluate_due(conn, SETTINGS).alerts == 1
    assert evaluate_due(conn, SETTINGS).jobs == 0
    assert alert_events(conn) == [("missed", "opened")]


def test_a_cycle_evaluates_the_jobs_that_are_due_between_two_sweeps(conn, database):
    cycle = WatchCycle(LiveWatcherStatus(), kind="trigger", delivers=False)
    cycle.connect(database, HOURLY_SWEEPS)
    try:
        cycle.start()
        assert not cycle.run_once()
        overdue(conn)
        assert cycle.run_once()
    finally:
        cycle.close()
    assert alert_events(conn) == [("missed", "opened")]


def test_a_cycle_that_delivers_ends_at_the_first_alerts_of_a_sweep_and_the_next_one_continues_it(conn, database):
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n, now(), now(), 'failed' FROM generate_series(1, %s) AS n",
        [2 * BATCH],
    )
    conn.execute("DELETE FROM airflow_jobmon.events")
    status = LiveWatcherStatus()
    cycle = WatchCycle(status, kind="listen", delivers=True)
    cycle.connect(database, HOURLY_SWEEPS)
    try:
        cycle.start()
        for expected in (BATCH, 2 * BATCH):
            assert cycle.run_once()
            assert status.alerts == expected
            assert (cycle.seconds_until_next() == 0) == (expected == BATCH) or cycle.run_once()
    finally:
        cycle.close()
    assert len(alert_events(conn)) == 2 * BATCH


def test_the_clock_of_the_database_counts_and_not_that_of_the_watcher(conn, monkeypatch):
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=1)

    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    log_run(conn, "load")
    for module in (
        "monitoring.checks",
        "monitoring.evaluation",
        "monitoring.sweep_progress",
        "monitoring.watch_cycle",
        "postgres.facts",
        "postgres.incidents",
    ):
        monkeypatch.setattr(f"airflow_jobmon.{module}.datetime", Tomorrow, raising=False)
    evaluate_changed(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == []
    stored = conn.execute("SELECT checked_at FROM airflow_jobmon.job_state").fetchone()[0]
    assert abs(stored - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_that_is_set_back_a_little_resolves_nothing(conn):
    overdue(conn)
    evaluate_due(conn, SETTINGS)
    # As it looks after the clock is set back by two minutes, to just before the deadline.
    conn.execute("UPDATE jobs_log SET started_at = now() - interval '69 min', completed_at = now() - interval '69 min'")
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = clock_timestamp() + interval '2 minutes'")
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == [("missed", "opened")]


def test_a_clock_that_was_far_ahead_does_not_stop_evaluation_once_it_is_right(conn):
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    log_run(conn, "load")
    evaluate_changed(conn, SETTINGS)
    conn.execute("UPDATE airflow_jobmon.job_state SET checked_at = checked_at + interval '300 days'")
    evaluate_jobs(conn, SETTINGS)
    assert alert_events(conn) == []


def test_a_run_that_starts_in_the_future_is_taken_to_start_now(conn):
    apply_jobs(conn, [MonitoredJob(name="load", every="1h", grace="10m")], source="test")
    log_run(conn, "load", status="running", started_at=datetime.now(UTC) + timedelta(hours=9))
    (health,) = evaluate_jobs(conn, SETTINGS)
    assert abs(health.next_due_at - datetime.now(UTC) - timedelta(minutes=70)) < timedelta(minutes=1)
    assert (health.findings, health.hours_since_last_run) == ((), 0.0)


def test_a_job_that_cannot_be_evaluated_is_not_tried_in_each_cycle(conn):
    apply_jobs(conn, [MonitoredJob(name="old", schedule="0 2 * * *", timezone="America/New_York")], source="test")
    conn.execute("INSERT INTO jobs_log (job_name, started_at, status) VALUES ('old', '0001-01-01 00:00+00', 'success')")
    evaluate_changed(conn, SETTINGS)
    assert evaluate_due(conn, SETTINGS).jobs == evaluate_changed(conn, SETTINGS).jobs == 0
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.job_state WHERE judge_at IS NOT NULL").fetchone() == (0,)


def test_finding_the_jobs_that_are_due_reads_an_index(conn):
    log_many(conn, 3000)
    evaluate_changed(conn, SETTINGS)
    conn.execute("ANALYZE airflow_jobmon.job_state")
    plan = "\n".join(
        row for (row,) in conn.execute("EXPLAIN " + load_queries("sweep")["due_jobs"], {"limit": 500}).fetchall()
    )
    assert "job_state_judge_at" in plan
