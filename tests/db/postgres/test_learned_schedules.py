"""The schedules of unregistered jobs: learned from log and archive, stored, and learned again when it is time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.learned import LearnedSchedule, read_learned_schedule
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_jobs
from airflow_jobmon.postgres.learned_schedules import learn_schedules
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run

DAY = timedelta(days=1)
SETTINGS = Settings(channels=("slack",))


def log_daily(conn, name: str = "load", *, days: int = 20, last: datetime | None = None) -> datetime:
    """One run a day; returns the last one's start (by default: an hour ago)."""
    last = last or datetime.now(UTC) - timedelta(hours=1)
    for n in range(days):
        log_run(conn, name, started_at=last - n * DAY)
    return last


def stored(conn, name: str = "load") -> LearnedSchedule | None:
    row = conn.execute("SELECT rhythm FROM airflow_jobmon.job_state WHERE job_name = %s", [name]).fetchone()
    return read_learned_schedule(row[0]) if row else None


def test_a_schedule_is_learned_at_first_sight_and_its_health_says_when_the_next_run_is_due(conn):
    last = log_daily(conn)
    evaluate_changed(conn, SETTINGS)
    due = conn.execute("SELECT due_at FROM airflow_jobmon.job_state").fetchone()[0]
    assert due == stored(conn).due_after(last)
    assert last + timedelta(hours=25) < due < last + timedelta(hours=27)
    assert conn.execute("SELECT judge_at <= due_at FROM airflow_jobmon.job_state").fetchone() == (True,)


def test_no_schedule_is_stored_as_null_and_not_searched_for_at_every_check(conn):
    log_daily(conn, days=3)
    now = datetime.now(UTC)
    assert learn_schedules(conn, ["load"], now=now) == 1
    assert stored(conn) is None
    assert conn.execute("SELECT rhythm IS NULL, rhythm_at IS NOT NULL FROM airflow_jobmon.job_state").fetchone() == (
        True,
        True,
    )
    assert learn_schedules(conn, ["load"], now=now + timedelta(hours=1)) == 0


def test_a_schedule_is_learned_anew_only_where_the_job_ran_since_and_half_a_day_passed(conn):
    last = log_daily(conn)
    now = last + timedelta(hours=1)
    assert learn_schedules(conn, ["load"], now=now) == 1
    assert learn_schedules(conn, ["load"], now=now + timedelta(hours=13)) == 0
    log_run(conn, "load", started_at=now + timedelta(hours=2))
    assert learn_schedules(conn, ["load"], now=now + timedelta(hours=3)) == 0
    assert learn_schedules(conn, ["load"], now=now + timedelta(hours=13)) == 1


def test_nothing_is_learned_while_a_run_is_overdue_and_a_schedule_is_learned_as_soon_as_it_starts(conn):
    last = log_daily(conn)
    evaluate_jobs(conn, SETTINGS, now=last + timedelta(minutes=90))
    overdue = last + timedelta(hours=40)
    assert learn_schedules(conn, ["load"], now=overdue) == 0
    log_run(conn, "load", started_at=overdue)
    assert learn_schedules(conn, ["load"], now=overdue + timedelta(seconds=1)) == 1


def test_runs_that_started_late_while_no_watcher_ran_are_one_message(conn):
    last = log_daily(conn, last=datetime.now(UTC) - 3 * DAY)
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '30 days'")
    conn.execute("INSERT INTO airflow_jobmon.job_state (job_name, first_seen_at) VALUES ('load', %s)", [last - 9 * DAY])
    evaluate_jobs(conn, SETTINGS, now=last + timedelta(hours=1))
    for hours in (38, 48, 71):
        log_run(conn, "load", started_at=last + timedelta(hours=hours))
    for _ in range(2):
        evaluate_changed(conn, SETTINGS)
    alerts = conn.execute("SELECT kind, event, details ->> 'message' FROM airflow_jobmon.alerts").fetchall()
    assert [alert[:2] for alert in alerts] == [("missed", "opened")]
    assert "missed and recovered" in alerts[0][2]
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.incidents WHERE resolved_at IS NULL").fetchone() == (0,)


def test_a_registered_job_needs_no_learned_schedule_and_one_removed_from_the_registry_gets_one(conn):
    log_daily(conn)
    apply_jobs(conn, [MonitoredJob(name="load")], source="test")
    evaluate_jobs(conn, SETTINGS)
    assert stored(conn) is None
    apply_jobs(conn, [], source="test", prune=True)
    evaluate_changed(conn, SETTINGS)
    assert stored(conn) is not None


@pytest.mark.parametrize("way", ["defaults", "ignore"])
def test_schedules_are_learned_under_learn_only(conn, way):
    log_daily(conn)
    evaluate_jobs(conn, Settings(unregistered_jobs=way), ["load"])
    assert stored(conn) is None


def test_archived_runs_count_and_drills_do_not(conn):
    last = log_daily(conn, days=10)
    for n in range(10):
        log_run(conn, "load", "failed", started_at=last - timedelta(days=n, hours=7), error_message="TEST ALERT - x")
    learn_schedules(conn, ["load"], now=datetime.now(UTC))
    with_all = stored(conn)
    conn.execute(
        "WITH moved AS (DELETE FROM jobs_log WHERE started_at < %s RETURNING *) INSERT INTO"
        " airflow_jobmon.jobs_log_archive (id, job_name, started_at, completed_at, records_updated, status,"
        " error_message, row) SELECT id, job_name, started_at, completed_at, records_updated, status, error_message,"
        " to_jsonb(moved) FROM moved",
        [last - 3 * DAY],
    )
    conn.execute("UPDATE airflow_jobmon.job_state SET rhythm = NULL, rhythm_at = NULL")
    learn_schedules(conn, ["load"], now=datetime.now(UTC))
    assert stored(conn) == with_all
    assert with_all.typical == DAY.total_seconds()


def test_weeks_of_runs_are_read_for_a_job_that_runs_every_minute(conn):
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status) SELECT 'load', at, at, 'success'"
        " FROM generate_series(now() - interval '26 days', now(), interval '1 minute') AS at"
        " WHERE extract(hour FROM at AT TIME ZONE 'UTC') BETWEEN 6 AND 21"
    )
    learn_schedules(conn, ["load"], now=datetime.now(UTC))
    schedule = stored(conn)
    noon = datetime.now(UTC).replace(hour=12, minute=0)
    night = noon.replace(hour=21, minute=59)
    assert schedule.due_after(noon) <= noon + timedelta(hours=5)
    assert schedule.due_after(night) > night + timedelta(hours=8)


def test_runs_of_the_far_future_and_past_and_odd_names_are_learned_from_like_any_other(conn):
    hostile = "'; DROP TABLE jobs_log; -- \U0001f4a3 %(x)s \\"
    log_daily(conn, hostile)
    log_run(conn, hostile, started_at=datetime(9998, 1, 1, tzinfo=UTC))
    log_run(conn, "ancient", started_at=datetime(1, 1, 1, tzinfo=UTC))
    assert learn_schedules(conn, [hostile, "ancient", "nobody"], now=datetime.now(UTC)) == 3
    assert stored(conn, hostile) is not None
    assert stored(conn, "ancient") is None
