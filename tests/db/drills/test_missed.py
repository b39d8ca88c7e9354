"""Test 2: a missed run is found and alerted without waiting for one, and the job's real schedule is left alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.drills.missed import run_missed_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import ConfigurationError, UnknownJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings
from tests.support.drill_environment import sinks, watching
from tests.support.http_server import reply
from tests.support.logged_runs import log_run
from tests.support.moments import ago

JOB = "update-installment-statuses"
SETTINGS = Settings(channels=("slack", "mail", "hook"), sweep_interval=timedelta(seconds=1))
OPTIONS = DrillOptions(lambda _: timedelta(minutes=1))


@pytest.fixture
def servers(monkeypatch):
    with sinks(monkeypatch) as found:
        yield found


@pytest.fixture
def watched(database, servers):
    channels, _ = open_channels(SETTINGS.channels)
    with watching(database, SETTINGS, channels):
        yield servers


def register(conn, **fields):
    apply_jobs(conn, [MonitoredJob(name=JOB, **fields)], source="test")


def observed(result) -> dict[str, str]:
    return {step.step: step.observed for step in result.steps}


def test_the_finding_is_critical_names_the_hours_and_reaches_every_channel(conn, watched):
    register(conn, schedule="0 2 * * *", timezone="America/New_York", runbook_url="https://wiki.example.com/runbook")
    log_run(conn, JOB, started_at=ago(minutes=1))
    result = run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures
    assert observed(result)["evaluated a second later"] == "critical: missed"
    hours = re.compile(r"\d hours\)?; one was expected at ")  # fewer than two are shown in minutes as well
    assert hours.search(observed(result)["finding says since when"])
    assert [step.step for step in result.steps][-3:] == ["accepted by hook", "accepted by mail", "accepted by slack"]
    [slack], [mail] = watched.slack.requests, watched.mail.mails
    assert f"TEST ALERT - Job Missed: {JOB}" in slack.json["text"]
    assert hours.search(slack.body.decode())
    assert mail.message["Subject"] == f"TEST ALERT: Job Missed - {JOB}"


def test_a_day_and_the_grace_are_25_hours(conn, watched):
    register(conn)
    log_run(conn, JOB, started_at=ago(hours=3))
    assert (
        "no run for 25.0 hours" in observed(run_missed_drill(conn, SETTINGS, JOB, OPTIONS))["finding says since when"]
    )


def test_a_drill_opens_no_incident_and_leaves_health_as_it_was(conn, watched):
    register(conn)
    log_run(conn, JOB, started_at=ago(hours=3))
    check_and_record(conn, SETTINGS)
    before = conn.execute("SELECT health, next_due_at FROM airflow_jobmon.job_health").fetchall()
    assert run_missed_drill(conn, SETTINGS, JOB, OPTIONS).passed
    check_and_record(conn, SETTINGS)
    assert conn.execute("SELECT health, next_due_at FROM airflow_jobmon.job_health").fetchall() == before
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.incidents").fetchone() == (0,)
    assert conn.execute("SELECT kind, event FROM airflow_jobmon.alerts").fetchall() == [("missed", "test")]


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([], id="never run"),
        pytest.param([("failed", 2)], id="the last one failed"),
        pytest.param([("running", 0.1), ("success", 24)], id="one is running"),
        pytest.param([("success", 40)], id="really missed already"),
    ],
)
def test_a_missed_run_is_found_whatever_the_log_shows(conn, watched, runs):
    register(conn)
    for status, hours in runs:
        log_run(conn, JOB, status=status, started_at=ago(hours=hours))
    result = run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"enabled": False}, "is disabled, so no missed run would be noticed", id="disabled"),
        pytest.param(None, "has no deadline, so no missed run would be noticed", id="not registered"),
    ],
)
def test_a_job_without_a_deadline_is_refused_and_no_one_is_alerted(conn, servers, fields, said):
    log_run(conn, JOB)
    if fields is not None:
        register(conn, **fields)
    with pytest.raises(ConfigurationError, match=said):
        run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drills").fetchone() == (0,)


def test_an_unregistered_job_is_missed_by_its_learned_schedule(conn, watched):
    for days in range(8):
        log_run(conn, JOB, started_at=ago(days=days, hours=3))
    check_and_record(conn, SETTINGS)
    result = run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures


def test_an_unknown_job_is_refused(conn):
    with pytest.raises(UnknownJob):
        run_missed_drill(conn, SETTINGS, JOB, OPTIONS)


def test_a_dead_channel_fails_the_drill_and_is_named(conn, watched):
    register(conn)
    log_run(conn, JOB, started_at=ago(hours=3))
    watched.hook.otherwise = reply(404)
    result = run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert [step.step for step in result.steps if not step.ok] == ["accepted by hook"]


def test_without_a_deliverer_every_channel_is_named(conn, servers):
    register(conn)
    log_run(conn, JOB, started_at=ago(hours=3))
    result = run_missed_drill(conn, SETTINGS, JOB, DrillOptions(lambda _: timedelta(seconds=0.2)))
    assert [step.step for step in result.steps if not step.ok] == [
        f"accepted by {name}" for name in ("hook", "mail", "slack")
    ]
    assert "no attempt in 0.2s: no process delivers to this channel" in result.failures


def test_the_drill_uses_the_channels_of_the_job(conn, watched):
    register(conn, channels=("hook",))
    log_run(conn, JOB, started_at=ago(hours=3))
    result = run_missed_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures
    assert (len(watched.hook.requests), len(watched.slack.requests), len(watched.mail.mails)) == (1, 0, 0)


def test_without_pg_cron_there_is_nothing_to_unschedule(conn, watched):
    register(conn)
    log_run(conn, JOB, started_at=ago(hours=3))
    with pytest.raises(ConfigurationError, match=r"has no table cron.job, so pg_cron is not installed in it"):
        run_missed_drill(conn, SETTINGS, JOB, OPTIONS, off_pg_cron=True)
    assert watched.slack.requests == []
