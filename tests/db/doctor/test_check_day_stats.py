"""The doctor on how past days are counted: the triggers that notice changes to them, and how far it has come."""

from __future__ import annotations

import psycopg
import pytest

from airflow_jobmon.doctor.result import State
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.db.postgres.test_day_stats import noon, seal_all
from tests.support.doctor_checks import NOBODY_AT_WORK, examined
from tests.support.logged_runs import log_run

INSERT, UPDATE, DELETE = (f"airflow_jobmon_days_{change}" for change in ("insert", "update", "delete"))


@pytest.fixture
def counted(conn):
    """A connection to a database in which all days are counted that can be."""
    for ago in range(12):
        log_run(conn, "load", started_at=noon(ago))
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '30 days'")
    seal_all(conn)
    return conn


def grow_older(conn, days: int) -> None:
    """As if nothing had been counted for so many days."""
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
def test_a_trigger_that_does_not_notice_changes(counted, database, change, seen):
    counted.execute(change)
    triggers = examined(database).only("change triggers")
    assert triggers.state is State.WARNING
    assert seen in triggers.seen
    if "ALTER TABLE" in triggers.advice:
        counted.execute(triggers.advice.partition(" (")[0])
    else:
        migrate(counted, Settings())
    assert examined(database).only("change triggers").state is State.OK


def test_where_changes_go_unnoticed_no_day_is_counted_and_it_says_why(counted, database):
    counted.execute(f"ALTER TABLE jobs_log DISABLE TRIGGER {INSERT}")
    seal_all(counted)
    days = examined(database).only("counted days")
    assert days.state is State.WARNING
    assert days.seen.startswith("no day is counted; ")
    assert "change triggers" in days.advice
    counted.execute(f"ALTER TABLE jobs_log ENABLE TRIGGER {INSERT}")
    seal_all(counted)
    assert examined(database).bad() == NOBODY_AT_WORK


def test_all_days_that_can_be_are_counted(counted, database):
    days = examined(database).only("counted days")
    assert days.state is State.OK
    assert f"through {noon(2):%Y-%m-%d}" in days.seen


def test_a_new_installation_is_not_behind(conn, database):
    days = examined(database).only("counted days")
    assert days.state is State.OK
    assert days.seen.startswith("none yet, ")


def test_the_day_that_has_just_become_old_enough_is_not_missed_yet(counted, database):
    grow_older(counted, 1)
    assert examined(database).only("counted days").state is State.OK


def test_days_that_nobody_counted(counted, database):
    grow_older(counted, 3)
    days = examined(database).only("counted days")
    assert days.state is State.WARNING
    assert f"counted through {noon(5):%Y-%m-%d}, 3 days less than could be; " in days.seen
    assert "start one" in days.advice
    seal_all(counted)
    assert examined(database).only("counted days").state is State.OK


def test_days_whose_counting_waits_for_a_transaction(counted, database):
    grow_older(counted, 4)
    counted.execute("UPDATE airflow_jobmon.sealing SET barrier_day = sealed_through")
    with psycopg.connect(database, application_name="nightly-load") as job:
        log_run(job, "load")
        seal_all(counted)
        days = examined(database).only("counted days")
        assert days.state is State.WARNING
        assert "longest open: nightly-load (" in days.advice
        assert f"pg_terminate_backend({job.info.backend_pid})" in days.advice
    seal_all(counted)
    assert examined(database).only("counted days").state is State.OK
