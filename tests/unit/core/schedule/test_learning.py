"""A schedule learned from when a job's runs started: no alarm while the job keeps to it, one when the job stops."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.schedule.learned import LearnedSchedule, read_learned_schedule
from airflow_jobmon.core.schedule.learning import learn_schedule
from airflow_jobmon.core.schedule.starts import FEWEST_RUNS

MONDAY = date(2025, 6, 2)
"""Sixteen weeks and five days before clocks go back in Europe."""


@dataclass(frozen=True)
class Plan:
    """When a job is started, on the clock of its zone."""

    name: str
    times: tuple[time, ...]
    weekdays: frozenset[int] = frozenset(range(7))
    every_days: int = 1
    days_of_month: frozenset[int] = frozenset(range(1, 32))

    def starts(self, zone: str, first: date, days: int) -> Iterator[datetime]:
        for number in range(days):
            day = first + timedelta(days=number)
            if day.weekday() in self.weekdays and day.day in self.days_of_month and not number % self.every_days:
                for at in self.times:
                    yield datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)


def each(minutes: int, begin: int = 0, end: int = 24) -> tuple[time, ...]:
    return tuple(time(minute // 60, minute % 60) for minute in range(begin * 60, end * 60, minutes))


WEEKDAYS = frozenset(range(5))
DAILY = Plan("daily", (time(2),))
WEEKDAY = Plan("weekdays", (time(7, 30),), WEEKDAYS)
WEEKLY = Plan("weekly", (time(4),), frozenset({6}))
TWENTY = Plan("every 20 minutes", each(20))
PLANS = (
    DAILY,
    WEEKDAY,
    WEEKLY,
    TWENTY,
    Plan("after each working day", (time(2),), frozenset(range(1, 6))),
    Plan("late, but not on Sundays", (time(23, 50),), frozenset(range(6))),
    Plan("three times a day", (time(8), time(12), time(18))),
    Plan("twice a week", (time(4),), frozenset({0, 3})),
    Plan("hourly on Mondays", each(60, 8, 18), frozenset({0})),
    Plan("every 20 minutes of the day", each(20, 6, 22)),
    Plan("every 20 minutes of office hours", each(20, 8, 18), WEEKDAYS),
    Plan("every two hours", each(120)),
    Plan("every fortnight", (time(5),), every_days=14),
    Plan("monthly", (time(4),), days_of_month=frozenset({1})),
    Plan("first Monday of the month", (time(4),), frozenset({0}), days_of_month=frozenset(range(1, 8))),
    Plan("first and fifteenth", (time(4),), days_of_month=frozenset({1, 15})),
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Pacific/Auckland")


def false_alarms(starts: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Replay: after each start, when it would have been called missed although the next one then came."""
    relearn = timedelta(hours=12 if len(starts) < 1000 else 60)
    schedule: LearnedSchedule | None = None
    learned = starts[0]
    alarms = []
    for number, (last, following) in enumerate(pairwise(starts), 1):
        if schedule is None or last - learned > relearn or (alarms and alarms[-1][1] == last):
            schedule, learned = learn_schedule(starts[max(0, number - 2300) : number]), last
        if schedule is not None and schedule.due_after(last) < following:
            alarms.append((last, following))
    return alarms


def learned(
    plan: Plan, weeks: int = 12, zone: str = "UTC", first: date = MONDAY
) -> tuple[LearnedSchedule, list[datetime]]:
    starts = list(plan.starts(zone, first, weeks * 7))
    schedule = learn_schedule(starts)
    assert schedule is not None
    return schedule, starts


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(PLANS),
    st.sampled_from(ZONES),
    st.dates(date(2024, 1, 1), date(2025, 12, 31)),
    st.sampled_from([4, 60, 1200]),
    st.randoms(use_true_random=False),
)
def test_a_job_that_keeps_its_schedule_is_never_missed(plan, zone, first, jitter, chance):
    often = len(plan.times) > 20
    days = 30 if often else 130 if len(plan.times) > 1 or len(plan.weekdays) > 2 else 420
    late = min(jitter, 300) if often else jitter
    starts = [start + timedelta(seconds=chance.uniform(0, late)) for start in plan.starts(zone, first, days)]
    assert false_alarms(starts) == []


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
@pytest.mark.parametrize("first", [date(2025, 1, 20), date(2025, 8, 25)], ids=["clocks go forward", "clocks go back"])
def test_a_clock_change_raises_no_alarm(plan, first):
    for zone in ("Europe/Berlin", "Pacific/Auckland"):
        assert false_alarms(list(plan.starts(zone, first, 90))) == []


@pytest.mark.parametrize(
    ("plan", "latest"),
    [
        pytest.param(DAILY, timedelta(hours=27), id="daily"),
        pytest.param(WEEKDAY, timedelta(hours=27), id="weekdays, on a Tuesday"),
        pytest.param(WEEKLY, timedelta(days=7, hours=3), id="weekly"),
        pytest.param(TWENTY, timedelta(minutes=90), id="every 20 minutes"),
        pytest.param(Plan("monthly", (time(4),), days_of_month=frozenset({1})), timedelta(days=39), id="monthly"),
    ],
)
def test_a_job_that_stops_is_missed_soon(plan, latest):
    schedule, starts = learned(plan, weeks=30 if plan.name == "monthly" else 12)
    last = [start for start in starts if plan is not WEEKDAY or start.weekday() == 1][-1]
    assert last < schedule.after(last)[0] < schedule.due_after(last) <= last + latest


def test_a_weekday_job_is_expected_after_the_weekend_on_a_friday_only():
    schedule, starts = learned(WEEKDAY)
    waits = {start.weekday(): schedule.after(start)[0] - start for start in starts}
    assert waits == {day: timedelta(days=3 if day == 4 else 1) for day in range(5)}


def test_a_job_that_pauses_at_night_is_missed_the_same_day():
    schedule, starts = learned(Plan("day", each(20, 6, 22)), weeks=4)
    noon = next(start for start in reversed(starts) if start.hour == 12)
    assert schedule.due_after(noon) <= noon + timedelta(hours=5)
    last = starts[-1]
    assert schedule.due_after(last) > last + timedelta(hours=8)


@pytest.mark.parametrize("count", range(1, 8))
def test_at_least_five_runs_are_needed(count):
    starts = list(DAILY.starts("UTC", MONDAY, count))
    assert (learn_schedule(starts) is not None) == (count >= FEWEST_RUNS)


@pytest.mark.parametrize(
    ("days", "wait"),
    [
        pytest.param(5, timedelta(days=3), id="seen from Monday to Friday"),
        pytest.param(6, timedelta(days=3), id="seen from Monday to Saturday"),
        pytest.param(7, timedelta(days=1), id="seen on each day of the week"),
    ],
)
def test_a_job_may_rest_on_weekdays_not_seen_yet(days, wait):
    starts = list(DAILY.starts("UTC", MONDAY, days))
    assert learn_schedule(starts).after(starts[-1])[0] == starts[-1] + wait


def test_runs_of_a_single_day_are_not_enough():
    assert learn_schedule(TWENTY.starts("UTC", MONDAY, 1)) is None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("hours", [3, 24, 100], ids=["several a day", "some a week", "few"])
def test_runs_at_random_times_follow_no_schedule(seed, hours):
    chance = random.Random(f"{seed} {hours}")
    at, starts = datetime(2025, 6, 2, tzinfo=UTC), []
    for _ in range(100):
        at += timedelta(hours=chance.expovariate(1 / hours))
        starts.append(at)
    for known in range(FEWEST_RUNS, len(starts), 7):
        assert learn_schedule(starts[:known]) is None


def test_a_missed_night_is_ignored_once_it_is_a_week_old():
    starts = list(DAILY.starts("UTC", MONDAY, 80))
    del starts[70]
    ran, after_a_week = starts[:73], starts[:79]
    assert learn_schedule(ran).due_after(ran[-1]) > ran[-1] + timedelta(hours=48)
    assert learn_schedule(after_a_week).due_after(after_a_week[-1]) <= after_a_week[-1] + timedelta(hours=27)
    assert false_alarms(starts) == [(starts[69], starts[70])]


def test_manual_reruns_postpone_a_deadline_and_never_bring_one_forward():
    starts = list(DAILY.starts("UTC", MONDAY, 80))
    reruns = [start + timedelta(hours=6, minutes=12) for start in starts[3::9]]
    both = sorted(starts + reruns)
    assert false_alarms(both) == []
    schedule = learn_schedule(both)
    assert schedule.due_after(starts[-1]) <= starts[-1] + timedelta(hours=27)
    rerun = starts[-1] + timedelta(hours=6)
    assert timedelta(hours=24) < schedule.due_after(rerun) - rerun <= timedelta(hours=27)


@pytest.mark.parametrize(
    ("before", "after", "alarms"),
    [
        pytest.param(DAILY, Plan("later", (time(9),)), 1, id="seven hours later"),
        pytest.param(Plan("late", (time(9),)), DAILY, 0, id="seven hours earlier"),
        pytest.param(DAILY, Plan("weekdays", (time(2),), WEEKDAYS), 1, id="on weekdays only"),
        pytest.param(DAILY, WEEKLY, 1, id="weekly"),
        pytest.param(WEEKLY, DAILY, 0, id="daily"),
        pytest.param(TWENTY, Plan("hourly", each(180)), 1, id="every three hours"),
    ],
)
def test_a_changed_schedule_alarms_at_most_once(before, after, alarms):
    change = MONDAY + timedelta(days=84)
    starts = [*before.starts("UTC", MONDAY, 84), *after.starts("UTC", change, 60)]
    assert len(false_alarms(starts)) <= alarms


def test_a_monthly_pause_alarms_only_once():
    paused = Plan("not on the first of the month", (time(4),), days_of_month=frozenset(range(2, 32)))
    for zone in ("UTC", "America/New_York"):
        assert len(false_alarms(list(paused.starts(zone, MONDAY, 300)))) == 1


def test_a_break_of_weeks_is_forgotten_after_three_regular_weeks():
    starts = [*DAILY.starts("UTC", MONDAY, 40), *DAILY.starts("UTC", MONDAY + timedelta(days=75), 23)]
    assert learn_schedule(starts).due_after(starts[-1]) <= starts[-1] + timedelta(hours=27)


@given(
    st.lists(st.floats(60, 40 * 86400), min_size=FEWEST_RUNS, max_size=60),
    st.floats(0, 7 * 86400),
)
@example([86400.0] * 40, 7200.0)
def test_a_stopped_job_is_missed_within_the_documented_time(gaps, offset):
    at = datetime(2025, 6, 2, tzinfo=UTC)
    starts = [at := at + timedelta(seconds=gap) for gap in gaps]
    schedule = learn_schedule(starts)
    if schedule is None:
        return
    longest = max(b - a for a, b in pairwise(starts))
    last = starts[-1] + timedelta(seconds=offset)
    bound = max(1.25 * longest + timedelta(hours=5), timedelta(days=3, hours=8))
    assert last + timedelta(hours=1) < schedule.due_after(last) <= last + bound
    assert last < schedule.after(last)[0] < schedule.due_after(last)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_stored_schedule_is_the_same_when_read(plan):
    schedule, _ = learned(plan, weeks=100 if len(plan.times) == 1 else 4)
    assert read_learned_schedule(schedule.as_json()) == schedule
    assert read_learned_schedule(None) is None
