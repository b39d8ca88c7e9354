"""A sweep reads a job again when its newest runs change, however they do, and in whatever order the index is read."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import evaluate_changed
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.sweep import changed_jobs
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.moments import ago

SETTINGS = Settings(channels=("slack",))


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


@pytest.fixture(params=["started_at DESC", "started_at", "(none)", "job_name DESC, started_at"])
def index(conn, request):
    """The index that the log has: ours, another that serves as well, or none."""
    for (name,) in conn.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename = 'jobs_log' AND indexdef LIKE '%started_at%'"
    ).fetchall():
        conn.execute(f'DROP INDEX public."{name}"')
    if request.param != "(none)":
        first = "" if "job_name" in request.param else "job_name, "
        conn.execute(f"CREATE INDEX ON jobs_log ({first}{request.param})")
    return request.param


def changed(conn) -> list[str]:
    return [job.name for job in changed_jobs(conn)]


def settle(conn) -> None:
    evaluate_changed(conn, SETTINGS)
    assert changed(conn) == []


def log_anything(conn, chance: random.Random, jobs: int, runs: int) -> None:
    for job in range(jobs):
        for _ in range(chance.randrange(runs)):
            started = ago(minutes=chance.randrange(6) * 10)
            status = chance.choice(["running", "success", "success", "failed", "failed", "odd"])
            ended = chance.choice([started, started + timedelta(minutes=1), None])
            drill = status == "failed" and chance.random() < 0.2
            conn.execute(
                "INSERT INTO jobs_log (job_name, started_at, completed_at, status, error_message)"
                " VALUES (%s, %s, %s, %s, %s)",
                (f"job {job}", started, ended, status, "TEST ALERT" if drill else "disk full"),
            )


@pytest.mark.parametrize("seed", range(2))
def test_an_evaluated_job_is_not_read_again_whatever_its_runs_are_like(conn, index, seed):
    log_anything(conn, random.Random(seed), jobs=60, runs=8)
    settle(conn)


@pytest.mark.parametrize("seed", range(2))
def test_every_job_whose_newest_runs_changed_is_read_again(conn, index, seed):
    chance = random.Random(seed)
    log_anything(conn, chance, jobs=60, runs=8)
    settle(conn)
    touched = {f"job {chance.randrange(80)}" for _ in range(10)}
    for name in touched:
        log_run(conn, name, seconds=0, status=chance.choice(["running", "success", "failed"]))
    assert set(changed(conn)) == touched


def test_a_new_run_that_started_at_the_same_time_is_found(conn, index):
    at = ago(minutes=5)
    log_run(conn, "load", started_at=at, completed_at=at + timedelta(minutes=2))
    settle(conn)
    log_run(conn, "load", started_at=at, completed_at=at + timedelta(minutes=3))
    assert changed(conn) == ["load"]


@pytest.mark.parametrize("what", ["the success between two failures", "one of several failures", "every run"])
def test_a_deleted_run_that_the_health_was_based_on_is_found(conn, what):
    for minutes, status in ((40, "failed"), (30, "success"), (20, "failed"), (10, "failed")):
        log_run(conn, "load", status=status, started_at=ago(minutes=minutes))
    settle(conn)
    conn.execute(
        {
            "the success between two failures": "DELETE FROM jobs_log WHERE status = 'success'",
            "one of several failures": "DELETE FROM jobs_log WHERE started_at BETWEEN now() - interval '25 minutes'"
            " AND now() - interval '15 minutes'",
            "every run": "DELETE FROM jobs_log",
        }[what]
    )
    assert changed(conn) == ["load"]
    settle(conn)


def test_the_success_between_two_failures_deleted_makes_them_two_in_a_row(conn):
    apply_jobs(conn, [MonitoredJob(name="load", failures_to_alert=2)], source="test")
    for minutes, status in ((30, "failed"), (20, "success"), (10, "failed")):
        log_run(conn, "load", status=status, started_at=ago(minutes=minutes))
    settle(conn)
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.alerts WHERE kind = 'failed'").fetchone() == (0,)
    conn.execute("DELETE FROM jobs_log WHERE status = 'success'")
    evaluate_changed(conn, SETTINGS)
    assert conn.execute("SELECT kind FROM airflow_jobmon.alerts").fetchall() == [("failed",)]


def test_a_run_whose_end_is_written_again_is_found(conn):
    run_id = log_run(conn, "load", started_at=ago(minutes=10))
    settle(conn)
    conn.execute("UPDATE jobs_log SET completed_at = completed_at + interval '1 minute' WHERE id = %s", [run_id])
    assert changed(conn) == ["load"]


def test_a_registered_job_is_evaluated_at_once_with_or_without_runs(conn):
    conn.execute(
        """INSERT INTO airflow_jobmon.jobs (name, source, config) VALUES ('never', 'test', '{"name": "never"}')"""
    )
    assert changed(conn) == ["never"]
    settle(conn)


def test_drills_alone_create_no_job(conn, index):
    log_run(conn, "load", status="failed", error_message="TEST ALERT")
    log_run(conn, "mend", status="success")
    assert changed(conn) == ["mend"]


def test_the_sweep_reads_the_index_once_per_job(conn, index):
    """Whatever its direction, if it serves at all: in no plan is a job's history read or sorted."""
    if index == "(none)":
        return
    conn.execute(
        "INSERT INTO jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || job, now() - run * interval '1 hour', now(), 'success'"
        " FROM generate_series(1, 200) AS job, generate_series(1, 300) AS run"
    )
    conn.execute("ANALYZE jobs_log")
    settle(conn)
    conn.execute("SELECT pg_stat_force_next_flush()")
    read = "SELECT idx_tup_read + idx_scan FROM pg_stat_user_indexes WHERE relname = 'jobs_log' AND idx_scan > 0"
    before = conn.execute(f"SELECT sum(n) FROM ({read}) AS t (n)").fetchone()[0]
    changed_jobs(conn)
    conn.execute("SELECT pg_stat_force_next_flush()")
    after = conn.execute(f"SELECT sum(n) FROM ({read}) AS t (n)").fetchone()[0]
    assert after - before < 200 * 6
