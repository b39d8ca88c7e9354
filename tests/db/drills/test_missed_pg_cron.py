"""Test 2 with the schedule removed from pg_cron: it is restored exactly, even after the drill was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta

import psycopg
import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.drills.failure import run_failure_drill
from airflow_jobmon.drills.missed import run_missed_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.pg_cron_server import postgres_with_cron

JOB = "update-installment-statuses"
DAILY = f"{JOB}-daily"
SETTINGS = Settings(channels=())
AS_IT_WAS = (
    "SELECT jobname, schedule, command, nodename, nodeport, database, username, active FROM cron.job ORDER BY 1, 2"
)
UNDELIVERED = "accepted by pager"
"""Nothing delivers to this channel, so this is the only step that fails."""


@pytest.fixture(scope="module")
def server():
    with postgres_with_cron() as found:
        with connect(found.conninfo()) as conn:
            migrate(conn, SETTINGS, create_jobs_log=True)
            conn.execute("CREATE ROLE billing LOGIN")
            conn.execute("CREATE DATABASE elsewhere")
        yield found


@pytest.fixture
def conn(server):
    with connect(server.conninfo()) as found:
        found.execute(
            "DELETE FROM cron.job; TRUNCATE airflow_jobmon.drills, public.jobs_log, airflow_jobmon.jobs CASCADE"
        )
        # Nothing delivers to this channel, so the drill waits for a moment.
        apply_jobs(found, [MonitoredJob(name=JOB, channels=("pager",))], source="test")
        log_run(found, JOB)
        yield found


def schedule(conn, text: str, *values) -> None:
    conn.execute(f"SELECT cron.{text}", values)


def run_the_drill(conn, look=lambda: None, **given):
    """With a look each time that it waits for the channel."""
    options = DrillOptions(lambda _: timedelta(seconds=0.1), deliver=look)
    return run_missed_drill(conn, SETTINGS, JOB, options, off_pg_cron=True, **given)


def failed(result) -> list[str]:
    return [step.step for step in result.steps if not step.ok]


def listed(conn):
    return conn.execute(AS_IT_WAS).fetchall()


@pytest.mark.parametrize(
    "scheduled",
    [
        pytest.param(
            "schedule('{daily}', '0 2 * * *', 'CALL update_installment_statuses()')", id="as in the procedures"
        ),
        pytest.param("schedule('0 2 * * *', $$SELECT '{job}', 'it''s'$$)", id="without a name"),
        pytest.param(
            "schedule_in_database('{daily}', '0 2 * * *', 'SELECT 1', 'elsewhere', 'billing', true)",
            id="in another database, by another user",
        ),
        pytest.param(
            "schedule_in_database('{daily}', '@hourly', 'SELECT 1', 'postgres', 'postgres', false)", id="not active"
        ),
    ],
)
def test_the_schedule_is_removed_during_the_drill_and_restored_unchanged(conn, scheduled):
    schedule(conn, scheduled.format(daily=DAILY, job=JOB))
    schedule(conn, "schedule('somebody-else', '5 * * * *', 'SELECT 2')")
    before = listed(conn)
    meanwhile = []
    result = run_the_drill(conn, lambda: meanwhile.append(listed(conn)))
    assert meanwhile[0] == [job for job in before if job[0] == "somebody-else"]
    assert listed(conn) == before
    steps = {step.step: step for step in result.steps}
    assert steps["schedule removed from pg_cron"].ok
    assert steps["schedule restored"].observed.endswith("is back as it was")
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drill_leftovers").fetchone() == (0,)


KILLED = """
import sys, time
from datetime import timedelta
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.drills.missed import run_missed_drill
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.settings import Settings

def hang():
    print("waiting", flush=True)
    time.sleep(600)

with connect(sys.argv[1]) as conn:
    options = DrillOptions(lambda _: timedelta(minutes=1), deliver=hang)
    run_missed_drill(conn, Settings(), sys.argv[2], options, off_pg_cron=True)
"""


def kill_one_halfway(server) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, server.conninfo(), JOB], stdout=subprocess.PIPE, text=True
    ) as drill:
        assert drill.stdout is not None
        assert drill.stdout.readline() == "waiting\n"
        drill.send_signal(signal.SIGKILL)
        drill.wait()


def wait_for_its_session_to_end(conn) -> None:
    alive = "SELECT count(*) FROM pg_stat_activity a JOIN airflow_jobmon.drills d ON d.backend_pid = a.pid"
    while conn.execute(alive).fetchone() != (0,):
        pass


@pytest.mark.parametrize("next_one", ["missed", "failure"])
def test_after_a_kill_the_next_drill_restores_the_schedule(conn, server, next_one):
    schedule(conn, "schedule(%s, '0 2 * * *', 'CALL update_installment_statuses()')", DAILY)
    before = listed(conn)
    kill_one_halfway(server)
    assert listed(conn) == []
    wait_for_its_session_to_end(conn)
    if next_one == "missed":
        result = run_the_drill(conn)
    else:
        options = DrillOptions(lambda _: timedelta(0), within=timedelta(0))
        result = run_failure_drill(conn, SETTINGS, "whatever", options)
    assert result.steps[0].observed == f"missed drill of {JOB}: {DAILY} (0 2 * * *) is back in pg_cron"
    assert listed(conn) == before
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.drills WHERE ended_at IS NULL").fetchone() == (0,)


def test_a_schedule_restored_by_hand_is_left_alone(conn):
    schedule(conn, "schedule(%s, '0 2 * * *', 'SELECT 1')", DAILY)
    result = run_the_drill(conn, lambda: schedule(conn, "schedule(%s, '0 3 * * *', 'SELECT 1')", DAILY))
    assert failed(result)[-1] == "schedule restored"
    assert [job[1] for job in listed(conn)] == ["0 3 * * *"]


def test_a_drill_that_is_interrupted_restores_the_schedule(conn):
    class Interrupted(BaseException):
        pass

    def interrupt():
        raise Interrupted

    schedule(conn, "schedule(%s, '0 2 * * *', 'SELECT 1')", DAILY)
    before = listed(conn)
    with pytest.raises(Interrupted):
        run_the_drill(conn, interrupt)
    assert listed(conn) == before


@pytest.mark.parametrize(
    ("names", "named", "said"),
    [
        pytest.param([], None, "no job in cron.job mentions 'update-installment-statuses'", id="none"),
        pytest.param([DAILY, f"{JOB}-twice"], None, "several jobs in cron.job mention", id="several"),
        pytest.param([DAILY], "daily", "cron.job has no job", id="a name that is not there"),
    ],
)
def test_a_job_that_matches_no_or_several_schedules_is_refused(conn, names, named, said):
    for name in names:
        schedule(conn, "schedule(%s, '0 2 * * *', 'SELECT 1')", name)
    before = listed(conn)
    with pytest.raises(ConfigurationError, match=said):
        run_the_drill(conn, cron_job=named)
    assert listed(conn) == before


def test_one_of_several_schedules_is_selected_by_its_name(conn):
    for name in (DAILY, f"{JOB}-twice"):
        schedule(conn, "schedule(%s, '0 2 * * *', 'SELECT 1')", name)
    before = listed(conn)
    assert failed(run_the_drill(conn, cron_job=DAILY)) == [UNDELIVERED]
    assert listed(conn) == before


@pytest.mark.parametrize(
    ("active", "refused"),
    [
        pytest.param(True, False, id="that it may put back"),
        pytest.param(False, True, id="that it may not put back as it was"),
    ],
)
def test_a_login_without_superuser_removes_only_a_schedule_that_it_can_restore(conn, server, active, refused):
    conn.execute(
        "GRANT USAGE ON SCHEMA cron, airflow_jobmon TO billing;"
        "GRANT ALL ON ALL TABLES IN SCHEMA airflow_jobmon TO billing;"
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA airflow_jobmon TO billing"
    )
    schedule(conn, "schedule_in_database(%s, '0 2 * * *', 'SELECT 1', 'postgres', 'billing', %s)", DAILY, active)
    before = listed(conn)
    with connect(psycopg.conninfo.make_conninfo(server.conninfo(), user="billing")) as theirs:
        if refused:
            with pytest.raises(ConfigurationError, match=r"could not remove .* from pg_cron and restore it"):
                run_the_drill(theirs)
        else:
            assert failed(run_the_drill(theirs)) == [UNDELIVERED]
    assert listed(conn) == before
