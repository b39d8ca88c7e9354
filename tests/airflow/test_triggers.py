"""JobsLogTrigger and JobRunTrigger as a triggerer runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_jobmon.assets import job_run_asset
from airflow_jobmon.triggers import JobRunTrigger, JobsLogTrigger
from tests.support.logged_runs import log_run
from tests.support.wait_until import eventually

AT_TWO = datetime(2025, 11, 13, 2, tzinfo=UTC)


async def test_a_success_outside_airflow_is_an_event_with_the_run(conn, jobmon_default, running):
    [watcher] = job_run_asset("nightly").watchers
    marks = "SELECT count(*) FROM airflow_jobmon.asset_marks"
    async with running(watcher.trigger) as payloads:
        await eventually(lambda: conn.execute(marks).fetchone()[0])
        run_id = log_run(conn, "nightly", started_at=AT_TWO, records_updated=7)
        await eventually(lambda: payloads)
    [payload] = payloads
    assert json.loads(json.dumps(payload)) == {
        "job_name": "nightly",
        "id": run_id,
        "started_at": "2025-11-13T02:00:00Z",
        "completed_at": "2025-11-13T02:00:10Z",
        "duration_seconds": 10.0,
        "status": "success",
        "records_updated": 7,
        "error_message": None,
        "successes": 1,
    }


async def test_the_trigger_of_an_asset_does_not_end_when_its_connection_is_missing(running, capsys):
    """Airflow would restart it every two seconds, with a traceback each time."""
    output = []

    def logged():
        output.append(capsys.readouterr().out)
        return "connection nowhere: Airflow has no connection 'nowhere'" in "".join(output)

    async with running(JobRunTrigger(job_name="nightly", conn_id="nowhere")):
        # It takes five seconds, in case the API server did not answer and the connection exists.
        await eventually(logged)


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(JobsLogTrigger(job_name="a", since="2025-11-13T02:00:00Z"), id="JobsLogTrigger"),
        pytest.param(JobRunTrigger(job_name="a", conn_id="b"), id="JobRunTrigger"),
    ],
)
def test_a_trigger_can_be_recreated_from_what_airflow_stores(trigger):
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__qualname__}"
    assert json.loads(json.dumps(arguments)) == arguments
    assert type(trigger)(**arguments).serialize() == (path, arguments)


def test_a_trigger_can_be_recreated_from_what_older_versions_stored():
    JobsLogTrigger(job_name="a", since="2025-11-13T02:00:00Z")
    JobRunTrigger(job_name="a")
