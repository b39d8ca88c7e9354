"""Test 1: a simulated failure passes through a real watcher to real servers and leaves nothing behind."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from airflow_jobmon.core.drills.drills import SIMULATED, limit_of
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.drills.failure import run_failure_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.drills import DrillJournal
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.simulated_failure import simulate_failure
from airflow_jobmon.runtime.connections import connection_type, open_channels
from airflow_jobmon.settings import Settings
from tests.support.database_rows import row_count
from tests.support.drill_environment import sinks, watching
from tests.support.http_server import reply
from tests.support.logged_runs import log_run
from tests.support.pgbouncer import pgbouncer
from tests.support.wait_until import wait_until

JOB = "update-installment-statuses"
SETTINGS = Settings(channels=("slack", "mail", "hook"), sweep_interval=timedelta(seconds=1))
OPTIONS = DrillOptions(lambda name: limit_of(connection_type(name)))
HASTY = DrillOptions(lambda _: timedelta(seconds=1), within=timedelta(seconds=0.5))


@pytest.fixture
def servers(monkeypatch):
    with sinks(monkeypatch) as found:
        yield found


@pytest.fixture
def watched(database, servers):
    channels, problems = open_channels(SETTINGS.channels)
    assert problems == {}
    with watching(database, SETTINGS, channels):
        yield servers


def by_step(result):
    return {step.step: step for step in result.steps}


def leftovers(conn) -> dict[str, int]:
    return {
        what: number
        for what in ("public.jobs_log", "airflow_jobmon.events", "airflow_jobmon.incidents", "airflow_jobmon.job_state")
        if (number := row_count(conn, what))
    }


def test_every_channel_gets_the_alert_is_timed_and_nothing_is_left(conn, watched):
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures
    steps = by_step(result)
    assert list(steps) == [
        "failed run logged", "picked up by a watcher", "alert names job and error", "no incident opened",
        "accepted by hook", "accepted by mail", "accepted by slack", "cleaned up",
    ]  # fmt: skip
    assert [steps[f"accepted by {name}"].expected for name in ("slack", "mail", "hook")] == [
        "within 1m", "within 5m", "within 1m",
    ]  # fmt: skip
    assert all(0 < steps[f"accepted by {name}"].seconds < 20 for name in ("slack", "mail", "hook"))
    assert leftovers(conn) == {}
    [slack] = watched.slack.requests
    assert f"TEST ALERT - Job Failed: {JOB}" in slack.json["text"]
    [mail] = watched.mail.mails
    assert mail.message["Subject"] == f"TEST ALERT: Job Failed - {JOB}"
    assert str(result.id) in mail.message.get_body(("plain",)).get_content()


def test_the_result_of_a_drill_is_stored(conn, watched):
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    row = conn.execute(
        "SELECT id, drill, job_name, passed, jsonb_array_length(steps), ended_at FROM airflow_jobmon.drills"
    )
    assert row.fetchone()[:5] == (result.id, "failure", JOB, True, len(result.steps))


def test_a_real_job_keeps_its_health_and_its_statistics(conn, watched):
    apply_jobs(conn, [MonitoredJob(name=JOB)], source="test")
    for _ in range(5):
        log_run(conn, JOB)

    def shown():
        check_and_record(conn, SETTINGS)
        return (
            conn.execute(
                "SELECT health, success_rate_percent, consecutive_failures FROM airflow_jobmon.job_health"
            ).fetchall()
            + conn.execute("SELECT * FROM airflow_jobmon.success_rate").fetchall()
        )

    before = shown()
    assert run_failure_drill(conn, SETTINGS, JOB, OPTIONS).passed
    assert shown() == before


@pytest.mark.parametrize("name", ["ein Job; mit <b>Namen</b> & 'Zeichen'", "%(x)s", "a\tb 🚨", "x" * 600])
def test_a_drill_accepts_any_job_name(conn, watched, name):
    result = run_failure_drill(conn, SETTINGS, name, OPTIONS)
    assert result.passed, result.failures


@pytest.mark.parametrize("name", ["", "  ", "nul\0", "\ud800"])
def test_a_name_that_no_job_can_have_is_refused(conn, name):
    with pytest.raises(ConfigurationError):
        run_failure_drill(conn, SETTINGS, name, HASTY)
    assert row_count(conn, "airflow_jobmon.drills") == 0


def test_without_a_watcher_the_drill_says_so_and_no_one_is_alerted_later(conn, database, servers):
    result = run_failure_drill(conn, SETTINGS, JOB, HASTY)
    assert not result.passed
    assert result.failures == (
        "picked up by a watcher: no watcher picked up the event within 0.5s: no watcher is running; "
        "start airflow jobmon listen, or unpause jobmon_alerts"
    )
    assert leftovers(conn) == {}
    channels, _ = open_channels(SETTINGS.channels)
    with watching(database, SETTINGS, channels):
        assert run_failure_drill(conn, SETTINGS, JOB, OPTIONS).passed
    assert len(servers.slack.requests) == 1


def test_a_webhook_that_is_gone_fails_the_drill_and_no_other_channel(conn, watched):
    watched.slack.otherwise = reply(404, "no_service")
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    assert not result.passed
    steps = by_step(result)
    assert steps["accepted by slack"].observed.startswith("refused for good: ")
    assert "404" in steps["accepted by slack"].observed
    assert [step.step for step in result.steps if not step.ok] == ["accepted by slack"]
    assert leftovers(conn) == {}


def test_a_mail_server_that_refuses_the_mailbox_fails_the_drill(conn, watched):
    watched.mail.recipients["oncall@example.com"] = "550 no such user"
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    assert [step.step for step in result.steps if not step.ok] == ["accepted by mail"]
    assert "550" in by_step(result)["accepted by mail"].observed


def test_the_drill_waits_for_a_channel_that_is_down_up_to_its_limit(conn, watched):
    watched.hook.otherwise = reply(503, "busy", Retry_After="60")
    options = DrillOptions(lambda name: timedelta(seconds=1) if name == "hook" else timedelta(minutes=1))
    result = run_failure_drill(conn, SETTINGS, JOB, options)
    [failed] = [step for step in result.steps if not step.ok]
    assert failed.step == "accepted by hook"
    assert failed.observed.startswith("not accepted in 1s: ")
    assert "503" in failed.observed


def test_a_channel_that_the_watcher_does_not_know_fails_the_drill(conn, watched):
    more = Settings(channels=(*SETTINGS.channels, "pager"))
    result = run_failure_drill(conn, more, JOB, OPTIONS)
    assert result.failures == (
        "accepted by pager: not addressed: the watcher that evaluated the alert has other channels configured"
    )


def test_without_any_channel_the_drill_fails(conn, database):
    with watching(database, Settings(), {}):
        result = run_failure_drill(conn, Settings(), JOB, OPTIONS)
    assert "no channel is configured for this job" in result.failures


def test_a_disabled_trigger_is_reported(conn, watched):
    conn.execute("ALTER TABLE public.jobs_log DISABLE TRIGGER airflow_jobmon_failed_insert")
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    assert "recorded by the trigger: none: the triggers on public.jobs_log are missing, disabled" in result.failures
    assert leftovers(conn) == {}


def test_two_at_once_each_count_their_own(conn, database, watched):
    results = []

    def hold():
        with connect(database) as own:
            results.append(run_failure_drill(own, SETTINGS, JOB, OPTIONS))

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.passed for result in results] == [True, True], [result.failures for result in results]
    assert leftovers(conn) == {}
    assert row_count(conn, "airflow_jobmon.alerts") == 2


def test_the_next_drill_removes_what_a_killed_one_left_and_no_other_row(conn, database, watched):
    log_run(conn, JOB, status="failed", error_message=SIMULATED)  # by hand: not ours to delete
    log_run(conn, JOB, status="failed", error_message="disk full")
    killed = uuid4()
    with connect(database) as theirs:
        DrillJournal(theirs, killed).begin("failure", JOB)
        simulate_failure(theirs, killed, JOB)
        running = run_failure_drill(conn, SETTINGS, "other", OPTIONS)
        assert "left by a killed drill" not in by_step(running), "it still runs"
    assert row_count(conn, "public.jobs_log") == 3
    wait_for_session_to_end(conn, killed)
    result = run_failure_drill(conn, SETTINGS, "other", OPTIONS)
    assert result.passed, result.failures
    assert result.steps[0].observed.startswith(f"failure drill of {JOB}: run ")
    left = conn.execute("SELECT error_message FROM public.jobs_log ORDER BY error_message").fetchall()
    assert left == [(SIMULATED,), ("disk full",)]
    assert row_count(conn, "airflow_jobmon.drills WHERE ended_at IS NULL") == 0


def wait_for_session_to_end(conn, drill_id):
    gone = (
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity a JOIN airflow_jobmon.drills d ON d.backend_pid = a.pid"
        " WHERE d.id = %s)"
    )
    while conn.execute(gone, [drill_id]).fetchone() != (True,):
        pass


def test_a_drill_that_is_interrupted_cleans_up(conn, servers):
    class Interrupted(BaseException):
        pass

    def interrupt():
        raise Interrupted

    with pytest.raises(Interrupted):
        run_failure_drill(conn, SETTINGS, JOB, DrillOptions(OPTIONS.limit_of, deliver=interrupt))
    assert leftovers(conn) == {}
    assert conn.execute("SELECT passed FROM airflow_jobmon.drills").fetchall() == [(False,)]


def test_the_insert_and_the_delete_of_the_procedures_pasted_into_psql_behave_the_same(conn, postgres, watched):
    insert = """
    INSERT INTO jobs_log (job_name, started_at, completed_at, status, error_message)
    VALUES (
      'update-installment-statuses',
      now(),
      now(),
      'failed',
      'TEST ALERT - Please ignore this simulated failure'
    );
    """
    delete = "DELETE FROM jobs_log WHERE error_message = 'TEST ALERT - Please ignore this simulated failure';"
    psql(postgres, conn, insert)
    wait_until(lambda: watched.slack.requests and watched.mail.mails and watched.hook.requests)
    assert f"TEST ALERT - Job Failed: {JOB}" in watched.slack.requests[0].json["text"]
    assert row_count(conn, "airflow_jobmon.incidents") == 0
    # One that is held meanwhile is not deleted with it.
    drill = uuid4()
    DrillJournal(conn, drill).begin("failure", JOB)
    simulate_failure(conn, drill, JOB)
    assert "DELETE 1" in psql(postgres, conn, delete)
    assert row_count(conn, "public.jobs_log") == 1


def psql(postgres, conn, text: str) -> str:
    import subprocess

    command = [postgres.program("psql"), "-v", "ON_ERROR_STOP=1", "-d", postgres.conninfo(conn.info.dbname)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_drill_also_runs_through_a_pooler(postgres, conn, watched):
    with pgbouncer(postgres) as pooler, connect(pooler.conninfo(conn.info.dbname)) as pooled:
        result = run_failure_drill(pooled, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures
    assert leftovers(conn) == {}


def test_a_session_that_vanishes_leaves_the_row_to_the_next_drill(conn, database, watched):
    """Its connection is cut while it waits for a watcher that takes its time."""
    with connect(database) as theirs:

        def cut():
            conn.execute("SELECT pg_terminate_backend(%s)", [theirs.info.backend_pid])

        with pytest.raises(psycopg.Error):
            run_failure_drill(theirs, SETTINGS, JOB, DrillOptions(OPTIONS.limit_of, deliver=cut))
    assert row_count(conn, "public.jobs_log") == 1
    result = run_failure_drill(conn, SETTINGS, JOB, OPTIONS)
    assert result.passed, result.failures
    assert leftovers(conn) == {}
