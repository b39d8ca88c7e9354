"""Cron slots through clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.schedule import first_slot_after, latest_slot_at_or_before, smallest_gap


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
crons = st.sampled_from(["0 2 * * *", "30 2 * * *", "*/20 * * * *", "15 1-3 * * *", "0 0 * * 1", "59 23 L * *"])
zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Africa/Casablanca",
    ]
)


@given(crons, zones, moments)
def test_after_and_before_agree_on_what_a_slot_is(cron, zone, moment):
    following = first_slot_after(cron, zone, moment)
    assert following > moment
    assert latest_slot_at_or_before(cron, zone, following) == following
    assert latest_slot_at_or_before(cron, zone, following - timedelta(microseconds=1)) <= moment


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


def test_being_early_is_held_to_half_the_gap_between_slots():
    assert smallest_gap("*/4 * * * *", "UTC") == timedelta(minutes=4)
    assert MonitoredJob(name="load", schedule="*/4 * * * *").earliness == timedelta(minutes=2)
    assert MonitoredJob(name="load", every="6m").earliness == timedelta(minutes=3)


def test_without_a_schedule_a_day_and_an_hour_make_the_25_hours():
    assert MonitoredJob(name="load").due_after(at("2025-11-13T02:00Z")) == at("2025-11-14T03:00Z")
