"""Cron slots through clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron_slots import first_slot_after, latest_slot_at_or_before


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        pytest.param("0 2 * * *", "UTC", "2025-11-13T02:00Z", "2025-11-14T02:00Z", id="strictly after"),
        pytest.param("0 2 * * *", "Europe/Berlin", "2025-11-13T00:00Z", "2025-11-13T01:00Z", id="the zone's own 02:00"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00Z", "2025-03-30T01:00Z", id="right after a gap"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00Z", "2025-10-26T00:30Z", id="first in a fold"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2025-10-26T00:30Z", "2025-10-27T01:30Z", id="not twice in a fold"),
        pytest.param("*/30 * * * *", "Europe/Berlin", "2025-10-26T00:30Z", "2025-10-26T01:00Z", id="through the fold"),
        pytest.param("0 2 * * *", "Asia/Kolkata", "2025-11-12T21:00Z", "2025-11-13T20:30Z", id="half-hour zone"),
        pytest.param(
            "0 12 * * *", "Pacific/Apia", "2011-12-29T23:00Z", "2011-12-30T10:00Z", id="a whole day is a gap too"
        ),
        pytest.param(
            "30 2 * * *", "Pacific/Auckland", "2015-04-04T14:05Z", "2015-04-05T14:30Z", id="from inside a fold"
        ),
        pytest.param("0 0 29 2 *", "UTC", "2096-03-01T00:00Z", "2104-02-29T00:00Z", id="eight years to a leap day"),
        pytest.param("0 0 * 2 MON#5", "UTC", "2072-03-01T00:00Z", "2112-02-29T00:00Z", id="forty years to a Monday"),
        pytest.param("0,30 2 * * *", "Europe/Berlin", "2025-03-30T01:00Z", "2025-03-31T00:00Z", id="caught up once"),
        pytest.param("*/20 2 * * *", "Europe/Berlin", "2025-03-29T12:00Z", "2025-03-31T00:00Z", id="wild: not at all"),
        pytest.param("*/20 2 * * *", "Europe/Berlin", "2025-10-26T00:40Z", "2025-10-26T01:00Z", id="wild: twice"),
        pytest.param("0 * * * *", "Europe/Berlin", "2025-03-30T00:00Z", "2025-03-30T01:00Z", id="hourly over a gap"),
        pytest.param("0 * * * *", "Europe/Berlin", "2025-10-26T00:00Z", "2025-10-26T01:00Z", id="hourly in a fold"),
        pytest.param("40 * * * *", "Australia/Lord_Howe", "2025-04-05T14:40Z", "2025-04-05T15:10Z", id="half a fold"),
        pytest.param("15 5 * * *", "Australia/Lord_Howe", "2025-10-04T13:00Z", "2025-10-04T18:15Z", id="half a gap"),
        pytest.param("45 1 * * *", "Australia/Lord_Howe", "2025-04-05T14:45Z", "2025-04-06T15:15Z", id="half: once"),
        pytest.param("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T03:00Z", id="no midnight"),
        pytest.param("0 9 21 8 *", "Pacific/Kwajalein", "1993-08-20T00:00Z", "1993-08-21T12:00Z", id="no 21st at all"),
        pytest.param("0 9 * * *", "Pacific/Kwajalein", "1969-09-29T22:00Z", "1969-10-01T21:00Z", id="a day over again"),
        pytest.param("30 23 * * *", "Asia/Dhaka", "2009-12-31T16:30Z", "2010-01-01T17:30Z", id="at a year's end"),
        pytest.param("30 1 * * *", "Africa/Sao_Tome", "2019-01-01T00:30Z", "2019-01-02T01:30Z", id="at a beginning"),
        pytest.param(
            "0 9 31 12 *", "Pacific/Kiritimati", "1994-06-01T00:00Z", "1994-12-31T10:00Z", id="no 31st at all"
        ),
        pytest.param("0 3 * * *", "Antarctica/Casey", "2010-03-04T12:00Z", "2010-03-04T19:00Z", id="three hours"),
    ],
)
def test_the_first_slot_after_a_moment(cron, zone, after, expected):
    assert first_slot_after(cron, zone, at(after)) == at(expected)


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "expected"),
    [
        pytest.param("0 2 * * *", "UTC", "2025-11-13T02:00Z", "2025-11-13T02:00Z", id="at it"),
        pytest.param("0 2 * * *", "UTC", "2025-11-13T01:59Z", "2025-11-12T02:00Z", id="just before it"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2025-10-26T03:00Z", "2025-10-26T00:30Z", id="after a fold"),
        pytest.param("0 0 1 1 *", "UTC", "2025-11-13T01:59Z", "2025-01-01T00:00Z", id="yearly"),
        pytest.param("0 0 29 2 *", "UTC", "2104-02-28T00:00Z", "2096-02-29T00:00Z", id="leap day over 2100"),
    ],
)
def test_the_latest_slot_at_or_before_a_moment(cron, zone, moment, expected):
    assert latest_slot_at_or_before(cron, zone, at(moment)) == at(expected)


moments = st.integers(0, 20 * 366 * 86400).map(
    lambda seconds: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(moments)
def test_due_is_after_the_start_by_at_least_the_grace(moment):
    job = MonitoredJob(name="load", schedule="0 2 * * *", timezone="America/New_York")
    assert moment + job.grace < job.due_after(moment) <= moment + timedelta(hours=26, minutes=5)


@pytest.mark.parametrize(
    ("start", "due"),
    [
        pytest.param("2025-11-13T01:55Z", "2025-11-14T03:00Z", id="five minutes early counts for that slot"),
        pytest.param("2025-11-13T01:54Z", "2025-11-13T03:00Z", id="six minutes early does not"),
        pytest.param("2025-11-13T02:00Z", "2025-11-14T03:00Z", id="on time"),
        pytest.param("2025-11-13T09:00Z", "2025-11-14T03:00Z", id="a manual rerun"),
    ],
)
def test_a_run_counts_for_the_slot_it_is_a_little_early_for(start, due):
    job = MonitoredJob(name="load", schedule="0 2 * * *")
    assert job.due_after(at(start)) == at(due)


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        pytest.param("*/4 * * * *", timedelta(minutes=4), id="every four minutes"),
        pytest.param("*/25 * * * *", timedelta(minutes=10), id="a step that does not divide the hour"),
        pytest.param("0 9,17 * * *", timedelta(hours=8), id="twice a day"),
        pytest.param("0 1,23 * * *", timedelta(hours=2), id="nearest over midnight"),
        pytest.param("0 1,23 * * 1", timedelta(hours=22), id="the same, where no two days follow each other"),
        pytest.param("0 1,23 * * 1,3,4", timedelta(hours=2), id="the same, where two of them do"),
        pytest.param("0 2 * * MON-FRI", timedelta(days=1), id="weekdays"),
        pytest.param("0 2 * * SUN", timedelta(days=7), id="weekly"),
        pytest.param("0 2 1 * *", timedelta(days=28), id="monthly"),
        pytest.param("0 2 31,1 * *", timedelta(days=1), id="the last of a month and the first"),
        pytest.param("0 2 L * *", timedelta(days=28), id="month's end"),
        pytest.param("0 2 1 1 *", timedelta(days=365), id="yearly"),
        pytest.param("0 2 29 2 *", timedelta(days=4 * 365 + 1), id="a leap day"),
        pytest.param("0 2 15 * FRI", timedelta(days=1), id="a date or a weekday"),
    ],
)
def test_being_early_is_limited_to_half_the_smallest_gap_between_slots(cron, gap):
    assert MonitoredJob(name="load", schedule=cron, early="3000d").earliness == gap / 2
    assert MonitoredJob(name="load", schedule=cron, early="30s").earliness == timedelta(seconds=30)


def test_without_a_schedule_being_early_is_limited_to_half_of_every():
    assert MonitoredJob(name="load", every="6m").earliness == timedelta(minutes=3)


def test_without_a_schedule_a_day_and_an_hour_make_the_25_hours():
    assert MonitoredJob(name="load").due_after(at("2025-11-13T02:00Z")) == at("2025-11-14T03:00Z")
