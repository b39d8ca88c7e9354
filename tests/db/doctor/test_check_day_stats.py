"""The doctor's checks of day counting: the triggers that mark changes to past days, and the counted days."""

from __future__ import annotations

import psycopg
import pytest

from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.db.postgres.test_day_stats import noon, seal_all
from tests.support.doctor_checks import NOT_OK_IN_TESTS, run_database_checks
from tests.support.logged_runs import log_run

INSERT, UPDATE, DELETE = (f"airflow_jobmon_days_{change}" for change in ("insert", "update", "delete"))


@pytest.fixture
def counted(conn):
    """A connection to a database with every past day counted."""
    for ago in range(12):
        log_run(conn, "load", started_at=noon(ago))
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '30 days'")
    seal_all(conn)
    return conn


def grow_older(conn, days: int) -> None:
    """Make the counted days end so many days earlier."""
    conn.execute("UPDATE airflow_jobmon.sealing SET sealed_through = sealed_through - %s", [days])


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        pytest.param(f"DROP TRIGGER {INSERT} ON jobs_log", f"is missing: {INSERT} on public.jobs_log;", id="dropped"),
        pytest.param(f"ALTER TABLE jobs_log DISABLE TRIGGER {DELETE}", f"is disabled: {DELETE} on", id="disabled"),
        pytest.param(
            f"ALTER TABLE jobs_log ENABLE REPLICA TRIGGER {UPDATE}", "for replicated rows only", id="as a replica"
        ),
    ],
)
def test_an_inactive_change_trigger_is_a_warning_with_a_working_advice(counted, database, change, seen):
    counted.execute(change)
    triggers = run_database_checks(database).only("change triggers")
    assert triggers.state is CheckState.WARNING
    assert seen in triggers.seen
    if "ALTER TABLE" in triggers.advice:
        counted.execute(triggers.advice.partition(" (")[0])
    else:
        migrate(counted, Settings())
    assert run_database_checks(database).only("change triggers").state is CheckState.OK


def test_no_day_is_counted_while_a_change_trigger_is_inactive(counted, database):
    counted.execute(f"ALTER TABLE jobs_log DISABLE TRIGGER {INSERT}")
    seal_all(counted)
    days = run_database_checks(database).only("counted days")
    assert days.state is CheckState.WARNING
    assert days.seen.startswith("no day is counted; ")
    assert "change triggers" in days.advice
    counted.execute(f"ALTER TABLE jobs_log ENABLE TRIGGER {INSERT}")
    seal_all(counted)
    assert run_database_checks(database).not_ok() == NOT_OK_IN_TESTS


def test_counted_days_are_ok(counted, database):
    days = run_database_checks(database).only("counted days")
    assert days.state is CheckState.OK
    assert f"through {noon(2):%Y-%m-%d}" in days.seen


def test_a_new_installation_is_ok(conn, database):
    days = run_database_checks(database).only("counted days")
    assert days.state is CheckState.OK
    assert days.seen.startswith("none yet, ")


def test_one_day_behind_is_ok(counted, database):
    grow_older(counted, 1)
    assert run_database_checks(database).only("counted days").state is CheckState.OK


def test_three_days_behind_is_a_warning(counted, database):
    grow_older(counted, 3)
    days = run_database_checks(database).only("counted days")
    assert days.state is CheckState.WARNING
    assert f"counted through {noon(5):%Y-%m-%d}, 3 days behind; " in days.seen
    assert "start one" in days.advice
    seal_all(counted)
    assert run_database_checks(database).only("counted days").state is CheckState.OK


def test_counting_that_waits_for_a_transaction_names_it(counted, database):
    grow_older(counted, 4)
    counted.execute("UPDATE airflow_jobmon.sealing SET barrier_day = sealed_through")
    with psycopg.connect(database, application_name="nightly-load") as job:
        log_run(job, "load")
        seal_all(counted)
        days = run_database_checks(database).only("counted days")
        assert days.state is CheckState.WARNING
        assert "the longest open one is that of nightly-load (" in days.advice
        assert f"pg_terminate_backend({job.info.backend_pid})" in days.advice
    seal_all(counted)
    assert run_database_checks(database).only("counted days").state is CheckState.OK
