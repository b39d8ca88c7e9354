"""What a sensor waits for, and whether a run is good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pendulum
import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import check_handling, default_since, shortfall, since_when
from airflow_jobmon.errors import ConfigurationError

AT_SIX = datetime(2025, 11, 13, 6, tzinfo=UTC)


def run(status="success", records=None, error=None):
    return Run("1", "nightly", AT_SIX, AT_SIX, status, records, error)


@pytest.mark.parametrize(
    ("since", "meant"),
    [
        pytest.param(datetime(2025, 11, 13, 2, tzinfo=UTC), datetime(2025, 11, 13, 2, tzinfo=UTC), id="datetime"),
        pytest.param(datetime(2025, 11, 13, 2), datetime(2025, 11, 13, 2, tzinfo=UTC), id="without an offset: UTC"),  # noqa: DTZ001
        pytest.param(
            datetime(2025, 11, 13, 2, tzinfo=timezone(timedelta(hours=5))),
            datetime(2025, 11, 12, 21, tzinfo=UTC),
            id="in another zone",
        ),
        pytest.param(pendulum.datetime(2025, 11, 13, 2), datetime(2025, 11, 13, 2, tzinfo=UTC), id="pendulum"),
        pytest.param(timedelta(hours=4), datetime(2025, 11, 13, 2, tzinfo=UTC), id="timedelta"),
        pytest.param(timedelta(0), AT_SIX, id="no time at all"),
        pytest.param("2025-11-13T02:00:00Z", datetime(2025, 11, 13, 2, tzinfo=UTC), id="text"),
        pytest.param("2025-11-13 02:00:00+00:00", datetime(2025, 11, 13, 2, tzinfo=UTC), id="as a template renders it"),
        pytest.param("2025-11-13", datetime(2025, 11, 13, tzinfo=UTC), id="a day, as {{ ds }} renders"),
        pytest.param("4h", datetime(2025, 11, 13, 2, tzinfo=UTC), id="duration text"),
        pytest.param("PT4H", datetime(2025, 11, 13, 2, tzinfo=UTC), id="ISO 8601 duration"),
    ],
)
def test_since_is_a_moment_or_counts_back_from_run_after(since, meant):
    found = since_when(since, AT_SIX)
    assert found == meant
    assert type(found) is datetime
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("since", "said"),
    [
        pytest.param("None", "'None'.*template", id="a template that rendered None"),
        pytest.param("", "''", id="empty"),
        pytest.param("yesterday", "yesterday", id="prose"),
        pytest.param(timedelta(hours=-1), "minus", id="in the future"),
        pytest.param(timedelta.max, "shorter", id="before the calendar"),
        pytest.param(3600, "3600", id="a bare number"),
    ],
)
def test_an_invalid_since_is_refused_in_one_line(since, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        since_when(since, AT_SIX)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "run_after", "since"),
    [
        pytest.param(
            {"schedule": "0 2 * * *"}, AT_SIX, datetime(2025, 11, 13, 1, 55, tzinfo=UTC), id="today's slot, less early"
        ),
        pytest.param(
            {"schedule": "0 2 * * *"},
            datetime(2025, 11, 13, 2, tzinfo=UTC),
            datetime(2025, 11, 13, 1, 55, tzinfo=UTC),
            id="exactly at the slot",
        ),
        pytest.param(
            {"schedule": "0 2 * * *"},
            datetime(2025, 11, 13, 1, 59, 59, tzinfo=UTC),
            datetime(2025, 11, 12, 1, 55, tzinfo=UTC),
            id="just before the slot: yesterday's",
        ),
        pytest.param(
            {"schedule": "0 2 * * *", "early": "0s"},
            AT_SIX,
            datetime(2025, 11, 13, 2, tzinfo=UTC),
            id="never early",
        ),
        pytest.param(
            {"schedule": "*/4 * * * *"},
            AT_SIX,
            datetime(2025, 11, 13, 5, 58, tzinfo=UTC),
            id="early is at most half the gap",
        ),
        pytest.param(
            {"schedule": "0 2 * * *", "timezone": "America/New_York"},
            datetime(2025, 11, 13, 12, tzinfo=UTC),
            datetime(2025, 11, 13, 6, 55, tzinfo=UTC),
            id="in the job's zone",
        ),
        pytest.param({"every": "24h"}, AT_SIX, AT_SIX - timedelta(days=1), id="no schedule: every, and no early"),
        pytest.param({}, AT_SIX, AT_SIX - timedelta(days=1), id="nothing known: a day"),
    ],
)
def test_without_since_the_wait_starts_at_the_latest_slot(fields, run_after, since):
    assert default_since(MonitoredJob(name="nightly", **fields), run_after) == since


@pytest.mark.parametrize(
    ("found", "min_records", "reason"),
    [
        pytest.param(run(), None, None, id="a success"),
        pytest.param(run(records=5), 5, None, id="exactly enough"),
        pytest.param(run(records=4), 5, "logged 4 records, below min_records=5", id="one too few"),
        pytest.param(run(), 1, "logged no record count, below min_records=1", id="no count"),
        pytest.param(run(), 0, None, id="no count where none is needed"),
        pytest.param(
            run("failed", 9, "boom\n  at line 1"), 5, "failed: boom at line 1", id="failed, whatever it wrote"
        ),
        pytest.param(run("failed"), None, "failed without an error message", id="failed in silence"),
        pytest.param(run("failed", error="x" * 10_000), None, "failed: " + "x" * 500, id="a huge error is cut"),
    ],
)
def test_a_run_is_good_if_it_succeeded_and_wrote_enough(found, min_records, reason):
    assert shortfall(found, min_records) == reason


@pytest.mark.parametrize(
    ("handling", "said"),
    [
        pytest.param(("explode", None), "fail, skip, wait", id="unknown word"),
        pytest.param(("fail", -1), "min_records is -1", id="negative"),
        pytest.param(("fail", True), "min_records is True", id="a boolean"),
        pytest.param(("fail", "5"), "min_records is '5'", id="text"),
    ],
)
def test_an_invalid_sensor_is_refused_when_the_dag_is_parsed(handling, said):
    with pytest.raises(ConfigurationError, match=said):
        check_handling(*handling)
