"""Problems in runs that the log held at the first migration do not notify; all others do, however old their times."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events
from tests.support.logged_runs import log_run
from tests.support.moments import ago

SETTINGS = Settings(channels=("slack",))
Conn = psycopg.Connection


def missed(conn: Conn) -> None:
    log_run(conn, "load", started_at=ago(hours=26))


def stuck(conn: Conn) -> None:
    log_run(conn, "load", started_at=ago(hours=2), status="running", completed_at=None)


def slow(conn: Conn) -> None:
    log_run(conn, "load", started_at=ago(minutes=10), completed_at=ago(minutes=8))


def failed(conn: Conn) -> None:
    log_run(conn, "load", started_at=ago(minutes=10), completed_at=ago(minutes=9), status="failed")
    conn.execute("DELETE FROM airflow_jobmon.events")


def low_success_rate(conn: Conn) -> None:
    for days in range(10):
        log_run(conn, "load", started_at=ago(days=days, hours=1), status="failed" if days in {3, 4} else "success")


KINDS = pytest.mark.parametrize(
    "happen", [pytest.param(kind, id=kind.__name__) for kind in (missed, stuck, slow, failed, low_success_rate)]
)


def recorded(conn: Conn) -> list[str]:
    return [kind for (kind,) in conn.execute("SELECT kind FROM airflow_jobmon.incidents WHERE resolved_at IS NULL")]


@pytest.fixture(params=[pytest.param(False, id="new job"), pytest.param(True, id="old job")])
def newly_installed(empty_database, request):
    """Next to a log that already holds the job, or does not."""
    with connect(empty_database) as conn:
        migrate(conn, SETTINGS, create_jobs_log=True)
        conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
        log_run(conn, "load" if request.param else "another", started_at=ago(hours=27))
        migrate(conn, SETTINGS)
        apply_jobs(conn, [MonitoredJob(name="load")], source="test")
        yield conn


@KINDS
def test_runs_logged_after_the_first_migration_notify_however_old_their_times(newly_installed, happen: Callable):
    happen(newly_installed)
    check_and_record(newly_installed, SETTINGS)
    check_and_record(newly_installed, SETTINGS)
    assert alert_events(newly_installed) == [(happen.__name__, "opened")]


@KINDS
def test_runs_that_the_log_held_at_the_first_migration_open_incidents_and_do_not_notify(
    empty_database, happen: Callable
):
    with connect(empty_database) as conn:
        migrate(conn, SETTINGS, create_jobs_log=True)
        happen(conn)
        conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
        migrate(conn, SETTINGS)
        migrate(conn, SETTINGS)
        apply_jobs(conn, [MonitoredJob(name="load")], source="test")
        check_and_record(conn, SETTINGS)
        check_and_record(conn, SETTINGS)
        assert recorded(conn) == [happen.__name__]
        assert alert_events(conn) == []


def test_a_failure_and_its_recovery_logged_after_the_first_migration_notify_once(newly_installed):
    log_run(newly_installed, "load", started_at=ago(minutes=20), status="failed")
    log_run(newly_installed, "load", started_at=ago(minutes=10))
    check_and_record(newly_installed, SETTINGS)
    assert alert_events(newly_installed) == [("failed", "opened")]


def test_a_job_is_missed_when_its_newest_run_is_deleted_though_it_was_due_before_the_first_migration(empty_database):
    with connect(empty_database) as conn:
        migrate(conn, SETTINGS, create_jobs_log=True)
        log_run(conn, "load", started_at=ago(hours=26))
        newest = log_run(conn, "load", started_at=ago(hours=2))
        conn.execute("DROP SCHEMA airflow_jobmon CASCADE")
        migrate(conn, SETTINGS)
        apply_jobs(conn, [MonitoredJob(name="load")], source="test")
        check_and_record(conn, SETTINGS)
        conn.execute("DELETE FROM jobs_log WHERE id = %s", [newest])
        check_and_record(conn, SETTINGS)
        assert alert_events(conn) == [("missed", "opened")]
