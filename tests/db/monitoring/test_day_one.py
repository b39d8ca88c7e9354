"""Installed on an old log: pre-existing findings do not alert, and each new one alerts once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.monitoring.checks import assess_jobs, evaluate_changed, evaluate_jobs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import alert_events_by_job
from tests.support.simulated_days import Planned, every, log_runs, pass_days

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=7)
SETTINGS = Settings(channels=("slack",), realert_interval=400 * DAY)

JOBS_LOG = (
    "CREATE TABLE public.jobs_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job_name text NOT NULL,"
    " started_at timestamptz NOT NULL, completed_at timestamptz, records_updated int, status text, error_message text)"
)


def weekdays(runs: Iterator[Planned]) -> Iterator[Planned]:
    return (run for run in runs if run.at.weekday() < 5)


def living(begin: datetime, end: datetime) -> list[Planned]:
    """What the jobs that are alive log between two moments, the rhythm of each the same whenever it is asked for."""
    long_ago = NOW - 400 * DAY
    runs = [
        *every("nightly", long_ago + 3 * HOUR, DAY, end),
        *every("weekly", long_ago + 3 * DAY, WEEK, end),
        *every("monthly", long_ago + 11 * DAY, 30 * DAY, end),
        *weekdays(every("weekdays", long_ago + 7 * HOUR, DAY, end)),
        *every("failing", long_ago + 5 * HOUR, DAY, end, "failed"),
        *every("often", NOW - 40 * DAY, 20 * MINUTE, end),
    ]
    return [run for run in runs if begin < run.at <= end]


def the_past() -> list[Planned]:
    return [
        *living(NOW - 400 * DAY, NOW),
        *every("retired", NOW - 300 * DAY, DAY, NOW - 200 * DAY),
        Planned(NOW - 200 * DAY, "retired", "failed"),
        *every("stopped last week", NOW - 60 * DAY, DAY, NOW - 4 * DAY),
        Planned(NOW - 300 * DAY, "running for ever", "running"),
        *every("began yesterday", NOW - DAY, HOUR, NOW),
        Planned(NOW - 2 * DAY, "once"),
        *at_random("by hand", NOW - 90 * DAY, NOW),
    ]


def at_random(name: str, at: datetime, until: datetime) -> Iterator[Planned]:
    chance = random.Random(name)
    while (at := at + HOUR * chance.expovariate(1 / 30)) < until:
        yield Planned(at, name)


@pytest.fixture(scope="module")
def old_template(postgres) -> Iterator[str]:
    """A database with an old log, in which the package was just installed."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE day_one TEMPLATE template0")
    with connect(postgres.conninfo("day_one")) as conn:
        conn.execute(JOBS_LOG)
        log_runs(conn, the_past())
        migrate(conn, SETTINGS)
    yield "day_one"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("DROP DATABASE day_one")


@pytest.fixture
def old(postgres, old_template) -> Iterator[psycopg.Connection]:
    """A connection to a copy of it."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE day_one_copy TEMPLATE {old_template}")
        try:
            with connect(postgres.conninfo("day_one_copy")) as conn:
                yield conn
        finally:
            admin.execute("DROP DATABASE day_one_copy WITH (FORCE)")


def still_open(conn, name: str) -> list[str]:
    return [
        kind
        for (kind,) in conn.execute(
            "SELECT kind FROM airflow_jobmon.incidents WHERE resolved_at IS NULL AND job_name = %s ORDER BY kind",
            [name],
        )
    ]


def test_the_first_check_of_an_old_log_does_not_alert(old):
    evaluate_changed(old, SETTINGS, now=NOW)
    healths = {health.job_name: health for health in evaluate_jobs(old, SETTINGS, now=NOW)}
    assert alert_events_by_job(old) == []
    assert {name for name, health in healths.items() if health.status is Health.CRITICAL} == {
        "failing",
        "retired",
        "running for ever",
    }
    assert {name for name, health in healths.items() if health.next_due_at is not None} >= {
        "nightly",
        "weekly",
        "monthly",
        "weekdays",
        "failing",
        "often",
    }
    assert healths["stopped last week"].next_due_at is None, "it was due before we saw it"
    assert healths["by hand"].next_due_at is None, "it has no schedule"


def test_over_the_first_three_weeks_only_new_findings_alert(old):
    end = NOW + 21 * DAY
    pass_days(old, SETTINGS, NOW, end, living(NOW, end))
    assert set(alert_events_by_job(old)) == {("failing", "failed", "opened")}, "it failed again"
    assert len(alert_events_by_job(old)) == 1


@pytest.mark.parametrize(
    ("name", "since", "returns"),
    [
        pytest.param("nightly", 1, 4, id="nightly"),
        pytest.param("often", 1, 2, id="every 20 minutes"),
        pytest.param("weekdays", 0, 9, id="on weekdays"),
        pytest.param("weekly", 0, 15, id="weekly"),
    ],
)
def test_a_job_that_stops_alerts_once_and_resolves_once(old, name, since, returns):
    end = NOW + (returns + 4) * DAY
    silence = (NOW + since * DAY, NOW + returns * DAY)
    runs = [run for run in living(NOW, end) if run.name == name and not silence[0] <= run.at < silence[1]]
    if name == "weekly":
        runs.append(Planned(NOW + returns * DAY, name))
    others = [run for run in living(NOW, end) if run.name not in {name, "often"}]
    pass_days(old, SETTINGS, NOW, end, [*runs, *others])
    about = [(kind, event) for job, kind, event in alert_events_by_job(old) if job == name]
    assert about == [("missed", "opened"), ("missed", "resolved")]


def test_a_missed_run_alerts_by_the_learned_schedule_and_is_dated_when_it_was_due(old):
    runs = [run for run in living(NOW, NOW + 2 * DAY) if run.name != "nightly"]
    last = next(run.at for run in reversed(living(NOW - 2 * DAY, NOW)) if run.name == "nightly")
    pass_days(old, SETTINGS, NOW, NOW + 2 * DAY, runs)
    opened_at, message = old.execute(
        "SELECT opened_at, message FROM airflow_jobmon.incidents WHERE job_name = 'nightly'"
    ).fetchone()
    assert last + DAY < opened_at < last + DAY + 3 * HOUR
    assert "by its learned schedule one was expected by" in message


def test_a_missed_job_that_stays_away_stops_alerting_stays_open_and_is_resolved_when_it_returns(old):
    daily = Settings(channels=("slack",), realert_interval=DAY)
    end = NOW + 25 * DAY
    others = [run for run in living(NOW, end) if run.name in {"weekly", "failing"}]
    pass_days(old, daily, NOW, NOW + 20 * DAY, [run for run in others if run.at <= NOW + 20 * DAY])
    about = [(kind, event) for job, kind, event in alert_events_by_job(old) if job == "nightly"]
    assert about[0] == ("missed", "opened")
    assert set(about[1:]) == {("missed", "repeated")}
    assert 4 <= len(about) <= 7, "until it was silent for a week"
    assert still_open(old, "nightly") == ["missed"]
    back = every("nightly", NOW + 20 * DAY + HOUR, DAY, end)
    pass_days(old, daily, NOW + 20 * DAY, end, [*back, *(run for run in others if run.at > NOW + 20 * DAY)])
    assert [(kind, event) for job, kind, event in alert_events_by_job(old) if job == "nightly"] == [
        *about,
        ("missed", "resolved"),
    ]
    assert still_open(old, "nightly") == []


def test_old_runs_that_are_loaded_after_the_installation_do_not_alert(old):
    evaluate_jobs(old, SETTINGS, now=NOW)
    log_runs(
        old,
        [
            *every("imported", NOW - 500 * DAY, DAY, NOW - 300 * DAY),
            *every("imported with failures", NOW - 500 * DAY, DAY, NOW - 300 * DAY, "failed"),
            *every("imported lately", NOW - 90 * DAY, DAY, NOW - 2 * DAY, "failed"),
            Planned(NOW - 100 * DAY, "imported in progress", "running"),
        ],
    )
    pass_days(old, SETTINGS, NOW, NOW + DAY, [])
    assert [alert for alert in alert_events_by_job(old) if alert[0].startswith("imported")] == []


def test_under_defaults_each_job_is_evaluated_like_one_registered_by_its_name(old):
    healths = {health.job_name: health for health in assess_jobs(old, Settings(unregistered_jobs="defaults"), at=NOW)}
    assert healths["nightly"].next_due_at == healths["nightly"].last_run.started_at + 25 * HOUR
    strict = Settings(channels=("slack",), unregistered_jobs="defaults", realert_interval=400 * DAY)
    end = NOW + 3 * DAY
    pass_days(old, strict, NOW, end, [run for run in living(NOW, end) if run.name == "failing"])
    assert {("nightly", "missed", "opened"), ("often", "missed", "opened")} <= set(alert_events_by_job(old))
    assert {name for name, _, _ in alert_events_by_job(old)} <= {
        "nightly",
        "often",
        "weekdays",
        "failing",
        "began yesterday",
        "by hand",
    }


def test_under_ignore_only_registered_jobs_are_evaluated(old):
    ignoring = Settings(channels=("slack",), unregistered_jobs="ignore", realert_interval=400 * DAY)
    apply_jobs(old, [MonitoredJob(name="nightly", grace="2h")], source="test")
    end = NOW + 3 * DAY
    pass_days(old, ignoring, NOW, end, [run for run in living(NOW, end) if run.name == "failing"])
    assert alert_events_by_job(old) == [("nightly", "missed", "opened")]
    assert [health.job_name for health in assess_jobs(old, ignoring)] == ["nightly"]


def test_a_job_removed_from_the_registry_is_evaluated_by_its_learned_schedule(old):
    apply_jobs(old, [MonitoredJob(name="weekly", every="2h", grace="0s")], source="test")
    evaluate_jobs(old, SETTINGS, now=NOW)
    assert still_open(old, "weekly") == ["missed"]
    apply_jobs(old, [], source="test", prune=True)
    evaluate_changed(old, SETTINGS)
    assert still_open(old, "weekly") == []
    assert alert_events_by_job(old) == []
    health = next(one for one in assess_jobs(old, SETTINGS) if one.job_name == "weekly")
    assert health.findings == ()
    assert health.next_due_at > health.last_run.started_at + WEEK
