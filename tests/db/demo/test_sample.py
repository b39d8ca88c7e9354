"""The demo's sample system: the job moves what is past due where it is, and logs how it ended whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import psycopg
import pytest
import yaml

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job
from airflow_jobmon.core.suggest.suggest import History, suggest
from airflow_jobmon.core.suggest.zone_fit import USUAL_ZONES
from demo import sample
from tests.support.postgres_server import Postgres

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""Three weeks after the clocks went back in New York, so the 90 days have both kinds of nights."""


@pytest.fixture(scope="module")
def original(postgres: Postgres) -> Iterator[str]:
    """Name of a database with the sample in it; cloned for each test, never used."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE sample")
        with psycopg.connect(postgres.conninfo("sample"), autocommit=True, options="-c timezone=UTC") as conn:
            sample.create(conn, NOON)
        yield "sample"
        admin.execute("DROP DATABASE sample WITH (FORCE)")


@pytest.fixture
def system(postgres: Postgres, original: str) -> Iterator[sample.Connection]:
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE sample_clone TEMPLATE {original}")
        with psycopg.connect(postgres.conninfo("sample_clone"), autocommit=True, options="-c timezone=UTC") as conn:
            yield conn
        admin.execute("DROP DATABASE sample_clone WITH (FORCE)")


def one(conn: sample.Connection, query: str, *values: object) -> Any:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def latest(conn: sample.Connection, job: str) -> tuple[Any, ...]:
    row = conn.execute(
        "SELECT status, records_updated, error_message, completed_at >= started_at FROM jobs_log"
        " WHERE job_name = %s ORDER BY started_at DESC LIMIT 1",
        [job],
    ).fetchone()
    assert row is not None
    return row


def plan_in(conn: sample.Connection, zone: str) -> int:
    return one(
        conn,
        "WITH a AS (INSERT INTO agencies (name, time_zone) VALUES ('at ' || %s, %s) RETURNING id)"
        " INSERT INTO payment_plans (agency_id, student) SELECT id, 'x' FROM a RETURNING id",
        zone,
        zone,
    )


def registered() -> dict[str, MonitoredJob]:
    """The five jobs of the file, and the one that the DAG jobmon_hourly_health_check registers."""
    found = yaml.safe_load((sample.SQL.parent / "jobs.yaml").read_text())
    by_dag = {"name": sample.INSTALLMENTS, "schedule": "0 2 * * *", "timezone": "America/New_York"}
    return {fields["name"]: read_job(fields) for fields in [*found["jobs"], by_dag]}


@pytest.mark.parametrize(
    ("zone", "at", "moved"),
    [
        pytest.param("Pacific/Auckland", "2026-11-23T11:00:00Z", True, id="Auckland, its midnight"),
        pytest.param("Pacific/Auckland", "2026-11-23T10:59:59Z", False, id="Auckland, a second before"),
        pytest.param("Pacific/Honolulu", "2026-11-24T09:59:59Z", False, id="Honolulu, still the due day"),
        pytest.param("Pacific/Honolulu", "2026-11-24T10:00:00Z", True, id="Honolulu, its midnight"),
        pytest.param("UTC", "2026-11-24T00:00:00Z", True, id="UTC, midnight"),
    ],
)
def test_an_installment_is_overdue_once_its_day_has_passed_where_the_agency_is(
    system: sample.Connection, zone: str, at: str, moved: bool
) -> None:
    number = one(
        system,
        "INSERT INTO installments (payment_plan_id, amount, student_due_date) VALUES (%s, 1, '2026-11-23')"
        " RETURNING id",
        plan_in(system, zone),
    )
    system.execute("CALL update_installment_statuses(%s)", [at])
    status = one(system, "SELECT status FROM installments WHERE id = %s", number)
    assert status == ("overdue" if moved else "pending")


def test_a_run_moves_what_is_past_due_and_logs_how_many(system: sample.Connection) -> None:
    sample.add_past_due(system, 7)
    waiting, before = sample.count_past_due(system), sample.count_installments(system, "overdue")
    assert sample.run_job(system, sample.INSTALLMENTS) is None
    assert waiting >= 7
    assert sample.count_past_due(system) == 0
    assert sample.count_installments(system, "overdue") == before + waiting
    assert latest(system, sample.INSTALLMENTS) == ("success", waiting, None, True)


def test_paid_installments_are_left_alone(system: sample.Connection) -> None:
    paid = sample.count_installments(system, "paid")
    sample.run_job(system, sample.INSTALLMENTS)
    assert sample.count_installments(system, "paid") == paid > 0


def test_a_failure_is_logged_although_its_work_is_rolled_back(system: sample.Connection) -> None:
    sample.add_past_due(system, 5)
    waiting, overdue = sample.count_past_due(system), sample.count_installments(system, "overdue")
    sample.bank_answers(system, False)
    assert sample.run_job(system, sample.INSTALLMENTS) == "Connection timeout after 3 retries"
    assert sample.count_past_due(system) == waiting
    assert sample.count_installments(system, "overdue") == overdue
    assert latest(system, sample.INSTALLMENTS) == ("failed", 0, "Connection timeout after 3 retries", True)

    sample.bank_answers(system, True)
    assert sample.run_job(system, sample.INSTALLMENTS) is None
    assert latest(system, sample.INSTALLMENTS) == ("success", waiting, None, True)


def test_a_statement_timeout_is_logged_as_a_failure_too(system: sample.Connection) -> None:
    sample.bank_answers(system, False)
    system.execute("SET statement_timeout = '60ms'")
    assert sample.run_job(system, sample.INSTALLMENTS) == "canceling statement due to statement timeout"
    system.execute("RESET statement_timeout")
    assert latest(system, sample.INSTALLMENTS)[0] == "failed"


def test_the_running_row_is_seen_by_others_before_the_work_is_done(system: sample.Connection) -> None:
    sample.add_past_due(system, 1)
    with psycopg.connect(system.info.dsn) as other:
        held = other.execute("SELECT id FROM installments WHERE status = 'pending' FOR UPDATE").fetchall()
        assert held
        system.execute("SET lock_timeout = '200ms'")
        run = Thread(target=sample.run_job, args=(system, sample.INSTALLMENTS))
        run.start()
        seen = None
        while run.is_alive() and seen is None:
            seen = other.execute("SELECT id FROM jobs_log WHERE status = 'running'").fetchone()
        run.join()
    assert seen is not None
    assert latest(system, sample.INSTALLMENTS)[0] == "failed"


def test_a_typo_in_a_time_zone_breaks_the_reminders(system: sample.Connection) -> None:
    assert sample.run_job(system, sample.REMINDERS) is None
    status, written, _, _ = latest(system, sample.REMINDERS)
    assert (status, written > 0) == ("success", True)

    sample.move_agency(system, "Lindenhof Sprachreisen", "Europe/Berlni")
    assert sample.run_job(system, sample.REMINDERS) == 'time zone "Europe/Berlni" not recognized'
    assert latest(system, sample.REMINDERS)[0] == "failed"

    sample.move_agency(system, "Lindenhof Sprachreisen", "Europe/Berlin")
    assert sample.run_job(system, sample.REMINDERS) is None


def test_the_history_has_six_jobs_over_ninety_days_that_all_ended(system: sample.Connection) -> None:
    counts = dict(system.execute("SELECT job_name, count(*)::int FROM jobs_log GROUP BY 1").fetchall())
    assert set(counts) == set(registered())
    assert 90 <= counts["update-installment-statuses"] <= 95
    assert 6400 <= counts["sync-bank-transactions"] <= 6600
    assert 2100 <= counts["send-payment-reminders"] <= 2200
    assert 60 <= counts["agency-revenue-report"] <= 70
    assert 12 <= counts["reconcile-ledger"] <= 14
    assert one(system, "SELECT count(*) FROM jobs_log WHERE completed_at IS NULL OR completed_at < started_at") == 0
    assert one(system, "SELECT max(completed_at) FROM jobs_log") < NOON
    assert one(system, "SELECT min(started_at) FROM jobs_log") > NOON - timedelta(days=92)


def test_runs_keep_to_their_zone_when_the_clocks_change(system: sample.Connection) -> None:
    hours = system.execute(
        "SELECT DISTINCT extract(hour FROM started_at)::int, extract(hour FROM started_at AT TIME ZONE"
        " 'America/New_York')::int FROM jobs_log WHERE job_name = %s AND records_updated > 0"
        " AND extract(minute FROM started_at) = 0",
        [sample.INSTALLMENTS],
    ).fetchall()
    assert sorted(hours) == [(6, 2), (7, 2)]


def test_the_report_rests_at_the_weekend_and_fewer_records_move_then(system: sample.Connection) -> None:
    assert (
        one(
            system,
            "SELECT count(*) FROM jobs_log WHERE job_name = 'agency-revenue-report'"
            " AND extract(isodow FROM started_at) > 5",
        )
        == 0
    )
    weekday, weekend = (
        one(
            system,
            "SELECT avg(records_updated) FROM jobs_log WHERE job_name = %s AND status = 'success'"
            " AND (extract(isodow FROM started_at) > 5) = %s",
            sample.INSTALLMENTS,
            late,
        )
        for late in (False, True)
    )
    assert float(weekday) > 1.5 * float(weekend)


def test_what_would_be_suggested_from_the_history_expects_each_run_when_the_registry_does(
    system: sample.Connection,
) -> None:
    expected = registered()
    for name, starts in system.execute(
        "SELECT job_name, array_agg(started_at ORDER BY started_at) FROM jobs_log GROUP BY job_name"
    ):
        found = suggest(History(name, starts[-4000:], cut=len(starts) > 4000), ["UTC", *USUAL_ZONES], now=NOON)
        assert found.job is not None
        if expected[name].schedule is not None:
            for start in starts[-4000::17]:
                assert found.job.expected_after(start) == expected[name].expected_after(start)


def test_there_are_failures_and_one_slow_spell(system: sample.Connection) -> None:
    failures = dict(
        system.execute("SELECT job_name, count(*)::int FROM jobs_log WHERE status = 'failed' GROUP BY 1").fetchall()
    )
    assert sum(failures.values()) == 10
    assert len(failures) >= 4
    slow = one(
        system,
        "SELECT count(DISTINCT started_at::date) FROM jobs_log WHERE job_name = %s"
        " AND completed_at - started_at > interval '35 seconds'",
        sample.INSTALLMENTS,
    )
    assert slow == 7


def test_every_job_is_well_when_the_demo_begins(system: sample.Connection) -> None:
    for name, job in registered().items():
        status, started, took = system.execute(
            "SELECT status, started_at, completed_at - started_at FROM jobs_log"
            " WHERE job_name = %s ORDER BY started_at DESC LIMIT 1",
            [name],
        ).fetchone()  # type: ignore[misc]
        assert status == "success", name
        assert took < job.max_duration, name
        assert job.due_after(started) > NOON + timedelta(minutes=4), name
        rate = one(
            system,
            "SELECT 100.0 * count(*) FILTER (WHERE status = 'success') / count(*) FROM jobs_log"
            " WHERE job_name = %s AND started_at > %s",
            name,
            NOON - timedelta(days=job.window_days),
        )
        assert rate > job.min_success_rate, name


def test_the_same_moment_gives_the_same_rows(system: sample.Connection) -> None:
    digest = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM %s AS t"
    before = [one(system, digest % table) for table in ("jobs_log", "agencies", "payment_plans", "installments")]
    with system.transaction(force_rollback=True):
        system.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET search_path = public")
        sample.create(system, NOON)
        again = [one(system, digest % table) for table in ("jobs_log", "agencies", "payment_plans", "installments")]
    assert again == before


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(2026, 3, 9, 6, 30, tzinfo=UTC), id="the night the clocks go forward"),
        pytest.param(datetime(2026, 2, 28, 23, 59, 55, tzinfo=UTC), id="end of February"),
        pytest.param(datetime(2026, 11, 22, 1, 30, 5, tzinfo=UTC), id="seconds after a slot"),
    ],
)
def test_no_job_is_near_its_deadline_whenever_the_demo_begins(empty_database: str, moment: datetime) -> None:
    with psycopg.connect(empty_database, autocommit=True, options="-c timezone=UTC") as conn:
        sample.create(conn, moment)
        newest = dict(conn.execute("SELECT job_name, max(started_at) FROM jobs_log GROUP BY 1").fetchall())
        assert one(conn, "SELECT max(completed_at) FROM jobs_log") < moment
    for name, job in registered().items():
        assert job.due_after(newest[name]) > moment + timedelta(minutes=4), name


def test_a_job_that_stays_away_has_its_newest_run_where_the_demo_puts_it(system: sample.Connection) -> None:
    started = NOON - timedelta(minutes=25)
    sample.backdate_last_run(system, sample.BANK_SYNC, started)
    newest = one(system, "SELECT max(started_at) FROM jobs_log WHERE job_name = %s", sample.BANK_SYNC)
    assert newest == started
    assert sample.last_ended(system, sample.BANK_SYNC) > started
