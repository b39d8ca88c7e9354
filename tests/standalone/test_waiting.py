"""Sensors and success assets under a running Airflow; a killed triggerer costs only time."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic, time

import pytest

from demo.inbox_reader import SINKS
from tests.support.logged_runs import log_run

pytestmark = pytest.mark.standalone

WAITS = "waits_for_outside_load"


def deferred(airflow) -> str:
    """A run of the waiting DAG whose sensor is already deferred to the triggerer."""
    run = airflow.trigger(WAITS)
    airflow.until(lambda: airflow.task_state(WAITS, run, "wait") == "deferred", "the sensor to defer")
    # Airflow fails a task that resumes before its scheduler has seen the first worker process end, seconds later.
    ended = f"state success for task instance TaskInstanceKey(dag_id='{WAITS}', task_id='wait', run_id='{run}'"
    airflow.until(lambda: ended in airflow.standalone.program.log.read_text(), "the scheduler to see the worker end")
    return run


def test_a_deferred_sensor_ends_when_the_outside_run_is_logged(airflow, jobs, measured):
    run = deferred(airflow)
    log_run(jobs, "outside-load", seconds=0.1, records_updated=7)
    began = monotonic()
    airflow.until(lambda: airflow.state(WAITS, run) == "success", "the sensor's DAG run")
    measured("successful row to the end of the waiting DAG's run", monotonic() - began)
    found = airflow.xcom(WAITS, run, "wait")
    assert (found["job_name"], found["records_updated"]) == ("outside-load", 7)
    jobs.execute("DELETE FROM jobs_log WHERE job_name = 'outside-load'")


def test_a_success_outside_starts_a_dag(airflow, jobs, measured):
    dag = "started_by_outside_extract"
    log_run(jobs, "outside-extract", seconds=0.1, records_updated=3)
    began = time()
    airflow.until(lambda: airflow.runs(dag) and airflow.runs(dag)[0]["state"] == "success", f"a run of {dag}", 90)
    measured("successful row to the end of the DAG it started", time() - began)
    payload = airflow.xcom(dag, airflow.runs(dag)[0]["dag_run_id"], "use")
    assert (payload["job_name"], payload["records_updated"]) == ("outside-extract", 3)


def test_a_killed_triggerer_loses_neither_alerts_nor_waits(airflow, jobs, measured):
    run = deferred(airflow)
    seen = airflow.last_received()
    airflow.kill_triggerer()
    log_run(jobs, "failed-meanwhile", status="failed", error_message="no watcher was running", seconds=0.1)
    log_run(jobs, "outside-load", seconds=0.1)
    began = monotonic()
    triggerer = airflow.start_triggerer()
    try:
        for sink in SINKS:
            airflow.until_arrived(sink, "Job Failed", "failed-meanwhile", after=seen)
            measured(f"triggerer started again to {sink}", monotonic() - began)
        airflow.until(lambda: airflow.state(WAITS, run) == "success", "the sensor's DAG run", 120)
        measured("triggerer started again to the end of the sensor's DAG run", monotonic() - began)
        messages = [m for m in airflow.inbox.received(seen) if "failed-meanwhile" in str(m)]
        assert len(messages) == len(SINKS)
    finally:
        with suppress(Exception):
            triggerer.stop()
