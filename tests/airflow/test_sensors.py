"""JobsLogSensor as Airflow runs it, in a worker slot and deferred."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from airflow.sdk import DAG

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.sensors import JobsLogSensor
from airflow_jobmon.triggers import JobsLogTrigger
from tests.support.logged_runs import finish_run, log_run
from tests.support.wait_until import TIMEOUT

AT_SIX = datetime(2025, 11, 13, 6, tzinfo=UTC)
AT_TWO = datetime(2025, 11, 13, 2, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
def sense_as(run_dag, jobmon_default):
    """Run a DAG of one sensor and return its state and its XCom."""

    def run(*, run_after=AT_SIX, logical_date=AT_SIX, schedule=None, **arguments):
        with DAG(f"sensing_{next(_numbers)}", schedule=schedule, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as dag:
            usual = {"job_name": "nightly", "poke_interval": 0.05, "timeout": TIMEOUT}
            JobsLogSensor(task_id="wait", **{**usual, **arguments})
        dag_run = run_dag(dag, run_after=run_after, logical_date=logical_date)
        found = dag_run.get_task_instance("wait")
        return str(found.state), found.xcom_pull(task_ids="wait")

    return run


@pytest.fixture(params=[False, True], ids=["poking", "deferred"])
def sense(request, sense_as):
    """`sense_as`, once in a worker slot and once deferred."""
    return partial(sense_as, deferrable=request.param)


@pytest.fixture
def later():
    """Call something in a second, while a sensor waits."""
    threads = []

    def start(do):
        def soon():
            time.sleep(1)
            do()

        threads.append(threading.Thread(target=soon, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(TIMEOUT)


@pytest.fixture
def failing_after(conn, later):
    """Log a failed run, now or in a second."""

    def fail():
        log_run(conn, "nightly", "failed", started_at=AT_TWO, error_message="boom")

    return lambda seconds: later(fail) if seconds else fail()


def test_a_finished_run_ends_the_wait_and_is_its_xcom(conn, sense):
    run_id = log_run(conn, "nightly", started_at=AT_TWO, records_updated=7)
    state, xcom = sense(since=timedelta(hours=4))
    assert state == "success"
    assert (
        xcom
        == json.loads(json.dumps(xcom))
        == {
            "job_name": "nightly",
            "id": run_id,
            "started_at": "2025-11-13T02:00:00Z",
            "completed_at": "2025-11-13T02:00:10Z",
            "duration_seconds": 10.0,
            "status": "success",
            "records_updated": 7,
            "error_message": None,
        }
    )


def test_a_run_that_finishes_while_the_sensor_waits_ends_the_wait(conn, sense, later):
    run_id = log_run(conn, "nightly", "running", started_at=AT_TWO)
    later(lambda: finish_run(conn, run_id))
    state, xcom = sense(since=timedelta(hours=4))
    assert (state, xcom["id"], xcom["status"]) == ("success", run_id, "success")


@pytest.mark.parametrize(
    ("handling", "state"),
    [
        pytest.param({}, "failed", id="fail"),
        pytest.param({"retries": 3}, "failed", id="fail, without retries: they would find the same run"),
        pytest.param({"on_failed_run": "skip"}, "skipped", id="skip"),
        pytest.param({"soft_fail": True}, "skipped", id="soft_fail"),
        pytest.param({"never_fail": True}, "skipped", id="never_fail"),
    ],
)
@pytest.mark.parametrize("wait", [pytest.param(0, id="before"), pytest.param(1, id="while waiting")])
def test_on_failed_run_decides_what_a_failed_run_does(failing_after, sense, handling, state, wait):
    failing_after(wait)
    assert sense(since=AT_TWO, **handling) == (state, None)


def test_on_failed_run_wait_waits_for_the_next_good_run(conn, sense, later):
    log_run(conn, "nightly", "failed", started_at=AT_TWO)
    log_run(conn, "nightly", started_at=AT_TWO + timedelta(minutes=5), records_updated=1)
    good = []
    later(lambda: good.append(log_run(conn, "nightly", started_at=AT_SIX, records_updated=5)))
    state, xcom = sense(since=AT_TWO, on_failed_run="wait", min_records=5)
    assert (state, xcom["id"]) == ("success", good[0])


def test_a_run_below_min_records_counts_as_failed(conn, sense):
    log_run(conn, "nightly", started_at=AT_TWO, records_updated=4)
    assert sense(since=AT_TWO, min_records=5) == ("failed", None)


@pytest.mark.parametrize(
    ("since", "found"),
    [
        pytest.param("{{ data_interval_start }}", 5, id="template"),
        pytest.param("{{ dag_run.run_after - macros.timedelta(hours=3) }}", 4, id="template with arithmetic"),
        pytest.param("2025-11-13T04:30:00+01:00", 4, id="text"),
        pytest.param("90m", 5, id="duration"),
        pytest.param(None, 2, id="default: the job's slot, less early"),
    ],
)
def test_since_is_the_earliest_start_of_the_run(conn, sense, since, found):
    apply_jobs(conn, [MonitoredJob(name="nightly", schedule="0 2 * * *")], source="test")
    log_run(conn, "nightly", started_at=datetime(2025, 11, 13, 0, tzinfo=UTC))
    ids = {
        hour: log_run(conn, "nightly", started_at=datetime(2025, 11, 13, hour, tzinfo=UTC) - timedelta(minutes=4))
        for hour in range(2, 7)
    }
    logical_date = datetime(2025, 11, 13, 4, 30, tzinfo=UTC) if since == "{{ data_interval_start }}" else AT_SIX
    state, xcom = sense(since=since, logical_date=logical_date)
    assert state == "success"
    assert xcom["id"] == ids[found]


def test_the_default_since_is_the_start_of_a_data_interval_with_width(conn, sense):
    from airflow.sdk import CronDataIntervalTimetable

    log_run(conn, "nightly", started_at=datetime(2025, 11, 11, 23, tzinfo=UTC))
    inside = log_run(conn, "nightly", started_at=datetime(2025, 11, 12, 0, 30, tzinfo=UTC))
    _, xcom = sense(
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        logical_date=datetime(2025, 11, 13, tzinfo=UTC),
        run_after=datetime(2025, 11, 13, tzinfo=UTC),
    )
    assert xcom["id"] == inside


def test_the_default_since_of_an_unregistered_job_is_a_day_back(conn, sense):
    log_run(conn, "nightly", started_at=AT_SIX - timedelta(hours=25))
    yesterday = log_run(conn, "nightly", started_at=AT_SIX - timedelta(hours=23))
    _, xcom = sense(logical_date=None)
    assert xcom["id"] == yesterday


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"since": "{{ params.get('x') }}"}, "since is 'None'", id="template that renders None"),
        pytest.param({"since": timedelta(hours=-1)}, "drop the minus sign", id="in the future"),
        pytest.param({"job_name": "{{ '' }}"}, "give the name", id="a name that renders to nothing"),
        pytest.param({"conn_id": "nowhere"}, "no connection 'nowhere'", id="no such connection"),
    ],
)
def test_an_argument_that_cannot_work_fails_the_task_in_one_line(sense, caplog, capsys, arguments, said):
    assert sense(**{"since": AT_TWO, **arguments}) == ("failed", None)
    assert said in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize("handling", [pytest.param({}, id="plain"), pytest.param({"soft_fail": True}, id="soft_fail")])
def test_a_database_that_is_not_migrated_fails_the_task(sense, airflow_connection, empty_database, handling):
    airflow_connection("empty", empty_database)
    assert sense(since=AT_TWO, conn_id="empty", **handling)[0] == "failed"


def test_never_fail_skips_the_task_for_a_database_problem_too(sense, airflow_connection, empty_database):
    airflow_connection("empty", empty_database)
    assert sense(since=AT_TWO, conn_id="empty", never_fail=True)[0] == "skipped"


def test_the_timeout_fails_a_poking_sensor(sense_as):
    assert sense_as(since=AT_TWO, timeout=0.2, deferrable=False)[0] == "failed"


def test_a_deferred_sensor_passes_its_timeout_to_airflow(conn, jobmon_default):
    from airflow.sdk.exceptions import TaskDeferred

    sensor = JobsLogSensor(task_id="wait", job_name="nightly", since=AT_TWO, timeout=120, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({"dag_run": type("DagRun", (), {"run_after": AT_SIX})})
    assert deferred.value.timeout == timedelta(seconds=120)
    assert deferred.value.trigger.serialize() == (
        "airflow_jobmon.triggers.JobsLogTrigger",
        {
            "job_name": "nightly",
            "since": "2025-11-13T02:00:00Z",
            "good_only": False,
            "min_records": None,
            "conn_id": "jobmon_default",
        },
    )


async def test_a_stored_trigger_continues_its_wait(conn, jobmon_default):
    """Like a triggerer that takes over from a dead one: it creates a new object from what was stored."""
    _, stored = JobsLogTrigger(job_name="nightly", since="2025-11-13T02:00:00Z", good_only=True).serialize()
    log_run(conn, "nightly", "failed", started_at=AT_TWO)
    good = log_run(conn, "nightly", started_at=AT_SIX)
    events = JobsLogTrigger(**stored).run()
    event = await asyncio.wait_for(anext(events), TIMEOUT)
    await events.aclose()
    assert event.payload["run"]["id"] == good


def test_a_deferred_wait_whose_connection_is_gone_fails_in_one_line(airflow_home):
    sensor = JobsLogSensor(task_id="wait", job_name="nightly", since=AT_TWO)
    with pytest.raises(Exception, match="connection 'x': it is gone"):
        sensor.execute_complete({}, {"error": "connection 'x': it is gone"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"on_failed_run": "retry"}, "use one of fail, skip, wait", id="on_failed_run"),
        pytest.param({"min_records": -1}, "whole number", id="min_records"),
    ],
)
def test_an_invalid_argument_is_refused_when_the_dag_is_parsed(arguments, said):
    with pytest.raises(ConfigurationError, match=said):
        JobsLogSensor(task_id="wait", job_name="nightly", **arguments)


def test_the_default_of_deferrable_is_that_of_airflow(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert JobsLogSensor(task_id="wait", job_name="nightly").deferrable is True


def test_a_job_name_from_the_log_is_never_rendered(conn, sense):
    """job_name may be a template of the DAG's author; what the database holds is returned unchanged."""
    log_run(conn, "nightly", "success", started_at=AT_TWO, error_message="{{ 7 * 7 }}")
    _, xcom = sense(since=AT_TWO)
    assert xcom["error_message"] == "{{ 7 * 7 }}"
