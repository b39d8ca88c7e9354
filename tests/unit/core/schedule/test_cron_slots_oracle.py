"""Slots compared with an oracle that checks every minute, above all around clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.schedule.cron_slots import first_slot_after, latest_slot_at_or_before
from tests.support import cron_oracle

TICK = timedelta(microseconds=1)
YEARS = (2007, 2027)

ZONES = [
    "UTC",
    "Africa/Cairo",  # at midnight
    "Africa/Casablanca",  # four changes a year
    "America/Caracas",  # half an hour, for good
    "America/Havana",  # at midnight, so that the day begins at 01:00
    "America/New_York",
    "America/Sao_Paulo",  # the day begins at 01:00
    "America/St_Johns",  # at one minute past midnight, three and a half hours behind UTC
    "Antarctica/Casey",  # three hours, back and forth
    "Antarctica/Troll",  # two hours
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Australia/Lord_Howe",  # half an hour, twice a year
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",  # left out a day in 2011
    "Pacific/Auckland",
    "Pacific/Chatham",  # at 02:45
]


def test_the_zones_change_their_clocks_often_enough_to_be_worth_testing():
    assert sum(len(cron_oracle.minutes_of_changes(zone, *YEARS)) for zone in ZONES) > 500


def expressions_at(wall: datetime) -> list[str]:
    """Jobs around the wall time at which the clocks change, of every sort."""
    hour, before, after = wall.hour, (wall - timedelta(hours=1)).hour, (wall + timedelta(hours=1)).hour
    low, high = sorted((before, after))
    return [
        f"0 {hour} * * *",
        f"30 {hour} * * *",
        f"59 {before} * * *",
        f"15,45 {before},{hour},{after} * * *",
        f"20-40/10 {low}-{high} * * *",
        f"10/25 {hour} {wall.day} {wall.month} *",
        f"5 {hour} * * {wall.strftime('%a')},{(wall + timedelta(days=1)).strftime('%a')}",
        "40 * * * *",
        "*/15 * * * *",
        f"*/20 {hour} * * *",
        f"* {hour} L,{wall.day} * *",
        f"10 */2 * * {wall.strftime('%a')}",
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_clock_change_of_twenty_years_the_slots_are_those_of_the_oracle(zone):
    changes = cron_oracle.minutes_of_changes(zone, *YEARS)
    share = 1 if len(changes) < 10 else 4
    for number, change in enumerate(changes):
        start, end = change - timedelta(hours=4), change + timedelta(hours=4)
        wall = cron_oracle.walls(zone, change, change)[0][1]
        for expression in expressions_at(wall - timedelta(hours=number % 2))[number // 2 % share :: share]:
            agree(expression, zone, start, end, list(cron_oracle.slots(expression, zone, start, end)))


def agree(expression: str, zone: str, start: datetime, end: datetime, expected: list[datetime]) -> None:
    """Both ways through the slots, and from between them."""
    where = f"{expression} in {zone} from {start}"
    found, moment = [], start
    while (moment := first_slot_after(expression, zone, moment)) <= end:
        found.append(moment)
    assert found == expected, where
    before = latest_slot_at_or_before(expression, zone, start)
    for slot, following in zip_longest(expected, expected[1:]):
        assert latest_slot_at_or_before(expression, zone, slot - TICK) == before, where
        assert latest_slot_at_or_before(expression, zone, slot) == slot, where
        assert first_slot_after(expression, zone, slot - TICK) == slot, where
        between = slot + ((following or end) - slot) / 2
        assert latest_slot_at_or_before(expression, zone, between) == slot, where
        assert following is None or first_slot_after(expression, zone, between) == following, where
        before = slot


EVERY_SORT = [
    "0 2 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "*/20 * * * *",
    "7 */5 * * *",
    "15 1-3 * * *",
    "0 9-17/4 * * MON-FRI",
    "0,30 8,20 * * SAT,SUN",
    "30 22 * * 7",
    "10 4 1-7 * WED",
    "0 6 */2 * *",
    "45 5 * * MON#1,FRI#3",
    "0 12 * * 5L",
    "0 0 L * *",
    "0 18 LW * *",
    "0 1 31 * *",
    "0 3 29 FEB *",
    "0 0 1 JAN,APR-JUN,OCT/2 *",
    "0 4 13 * FRI",
    "1/7 */3 * * 0-4/2",
]

moments = st.builds(
    lambda seconds, micros: datetime(YEARS[0], 1, 2, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micros),
    st.integers(0, 20 * 365 * 86400),
    st.sampled_from([0, 1, 999_999]),
)


@given(st.sampled_from(EVERY_SORT), st.sampled_from(ZONES), moments)
@settings(max_examples=150, deadline=None)
def test_the_slots_of_any_two_days_are_those_of_the_oracle(expression, zone, moment):
    start = moment.replace(minute=0, second=0, microsecond=0)
    while any(abs(change - start) < timedelta(hours=4) for change in cron_oracle.minutes_of_changes(zone, *YEARS)):
        start -= timedelta(hours=4)  # an oracle must not begin in a fold
    end = start + timedelta(days=2)
    agree(expression, zone, start, end, list(cron_oracle.slots(expression, zone, start, end)))


@given(st.sampled_from(EVERY_SORT), st.sampled_from(ZONES), moments, moments)
@settings(max_examples=300, deadline=None)
def test_after_and_before_agree_on_what_a_slot_is(expression, zone, moment, other):
    following = first_slot_after(expression, zone, moment)
    latest = latest_slot_at_or_before(expression, zone, moment)
    assert latest <= moment < following
    assert following.utcoffset() == latest.utcoffset() == timedelta(0)
    assert first_slot_after(expression, zone, latest) == following
    assert latest_slot_at_or_before(expression, zone, latest) == latest
    assert latest_slot_at_or_before(expression, zone, following) == following
    assert latest_slot_at_or_before(expression, zone, following - TICK) == latest
    early, late = sorted((moment, other))
    assert first_slot_after(expression, zone, early) <= first_slot_after(expression, zone, late)
    assert latest_slot_at_or_before(expression, zone, early) <= latest_slot_at_or_before(expression, zone, late)


@pytest.mark.parametrize("expression", EVERY_SORT)
def test_a_year_of_days_without_a_clock_is_read_as_the_oracle_reads_it(expression):
    """Every day of a leap year and of the one after, in UTC."""
    start, end = datetime(2023, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    reading = cron_oracle.read(expression)
    expected = [
        datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
        for day in (start.date() + timedelta(days=n) for n in range(1, 732))
        if cron_oracle.day_matches(reading, day)
        for hour in sorted(reading.hours)
        for minute in sorted(reading.minutes)
    ]
    found, moment = [], start
    while (moment := first_slot_after(expression, "UTC", moment)) < end:
        found.append(moment)
    assert found == expected
    back, moment = [], end - TICK
    while (moment := latest_slot_at_or_before(expression, "UTC", moment)) > start:
        back.append(moment)
        moment -= TICK
    assert back == expected[::-1]
