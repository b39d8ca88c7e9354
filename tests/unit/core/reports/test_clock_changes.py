"""How clock changes affect a job's schedule, reported before they happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.reports.clock_changes import clock_changes
from airflow_jobmon.core.schedule.cron_slots import first_slot_after
from tests.support import cron_oracle


def job(cron: str, zone: str = "Europe/Berlin") -> MonitoredJob:
    return MonitoredJob(name="load", schedule=cron, timezone=zone)


def changes(cron: str, zone: str = "Europe/Berlin", year: int = 2026):
    return clock_changes(job(cron, zone), datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))


IN_BERLIN = "on 2026-03-29 in Europe/Berlin clocks go forward from 02:00 to 03:00; this job's "
BACK_IN_BERLIN = "on 2026-10-25 in Europe/Berlin clocks go back from 03:00 to 02:00; this job's "


@pytest.mark.parametrize(
    ("cron", "forward", "back"),
    [
        pytest.param(
            "30 2 * * *",
            "02:30 run starts at 03:00 that day",
            "02:30 run starts only once, the first time",
            id="a fixed time",
        ),
        pytest.param(
            "0,30 2 * * *",
            "02:00 and 02:30 runs become one run at 03:00 that day",
            "02:00 and 02:30 runs start only once each, the first time",
            id="two of them",
        ),
        pytest.param(
            "0 2,3 * * *",
            "02:00 and 03:00 runs become one run at 03:00 that day",
            "02:00 run starts only once, the first time",
            id="one that falls together with the next",
        ),
        pytest.param(
            "*/15 * * * *",
            "4 runs from 02:00 to 02:45 are skipped",
            "4 runs from 02:00 to 02:45 start twice",
            id="every quarter of an hour",
        ),
        pytest.param("5 * * * *", "02:05 run is skipped", "02:05 run starts twice", id="hourly"),
        pytest.param("*/30 2 * * *", "02:00 and 02:30 runs are skipped", "02:00 and 02:30 runs start twice", id="wild"),
    ],
)
def test_each_change_is_described_in_a_sentence(cron, forward, back):
    assert [change.sentence for change in changes(cron)] == [IN_BERLIN + forward, BACK_IN_BERLIN + back]


@pytest.mark.parametrize(
    ("cron", "zone", "year", "sentence"),
    [
        pytest.param(
            "0 0 * * *",
            "America/Sao_Paulo",
            2018,
            "on 2018-11-04 in America/Sao_Paulo clocks go forward from 00:00 to 01:00; "
            "this job's 00:00 run starts at 01:00 that day",
            id="a day without a midnight",
        ),
        pytest.param(
            "30 23 * * *",
            "America/Sao_Paulo",
            2018,
            "on 2018-02-18 in America/Sao_Paulo clocks go back from 00:00 to 23:00 of 2018-02-17; "
            "this job's 23:30 of 2018-02-17 run starts only once, the first time",
            id="back to the day before",
        ),
        pytest.param(
            "0 12 * * *",
            "Pacific/Apia",
            2011,
            "on 2011-12-30 in Pacific/Apia clocks go forward from 00:00 to 00:00 of 2011-12-31; "
            "this job's 12:00 run starts at 00:00 of 2011-12-31 that day",
            id="a day skipped",
        ),
        pytest.param(
            "40 1 * * *",
            "Australia/Lord_Howe",
            2026,
            "on 2026-04-05 in Australia/Lord_Howe clocks go back from 02:00 to 01:30; "
            "this job's 01:40 run starts only once, the first time",
            id="half an hour",
        ),
    ],
)
def test_changes_of_odd_sizes_are_described_too(cron, zone, year, sentence):
    assert [change.sentence for change in changes(cron, zone, year)] == [sentence]


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        pytest.param("0 6 * * *", "Europe/Berlin", id="a time of day that no change touches"),
        pytest.param("30 2 * * MON", "Europe/Berlin", id="not on a Sunday"),
        pytest.param("30 2 * * *", "Asia/Kolkata", id="a zone whose clocks are left alone"),
    ],
)
def test_a_schedule_that_no_change_affects_has_none(cron, zone):
    assert changes(cron, zone) == []


def test_a_job_without_a_schedule_has_none():
    assert clock_changes(MonitoredJob(name="load"), datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC)) == []


def test_the_end_of_the_period_belongs_to_the_next_one():
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    early, late = (
        clock_changes(job("30 2 * * *"), start, start + timedelta(days=7)) for start in (at, at - timedelta(7))
    )
    assert ([change.at for change in early], late) == ([at], [])


@given(
    st.sampled_from(["30 2 * * *", "0,30 1-3 * * *", "*/15 * * * *", "0 2,3 * * *", "7 */2 * * *", "10 0,23 * * *"]),
    st.sampled_from(
        ["Europe/Berlin", "America/Havana", "Antarctica/Troll", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
    st.integers(2008, 2030),
)
@settings(deadline=None)
def test_the_day_of_a_change_has_as_many_more_or_fewer_runs_as_stated(cron, zone, year):
    expected = {change.at: change.more_runs for change in changes(cron, zone, year)}
    half = timedelta(hours=12)
    for at in cron_oracle.minutes_of_changes(zone, year, year):
        (_, before), (_, after) = (cron_oracle.walls(zone, moment, moment)[0] for moment in (at - half, at + half))
        ordinary = count(cron, "UTC", before.replace(tzinfo=UTC), after.replace(tzinfo=UTC))
        assert count(cron, zone, at - half, at + half) == ordinary + expected.pop(at, 0)
    assert expected == {}


def count(cron: str, zone: str, start: datetime, end: datetime) -> int:
    """Slots after `start` and up to `end`."""
    moment, found = start, 0
    while (moment := first_slot_after(cron, zone, moment)) <= end:
        found += 1
    return found
