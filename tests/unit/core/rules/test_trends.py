"""What counts as getting worse, and what does not: weekdays, month ends, noise, single bad days."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.days import DayStats
from airflow_jobmon.core.model.health import Health, Kind
from airflow_jobmon.core.rules.trends import REACH, find_trends

TODAY = date(2025, 11, 13)
JOB = MonitoredJob(name="load")
DAY = timedelta(days=1)


def day_of(
    day: date, *, seconds: float | None = 10, records: int | None = 50, runs: int = 1, failed: int = 0
) -> DayStats:
    succeeded = runs - failed
    return DayStats(
        day,
        total_runs=runs,
        successful_runs=succeeded,
        failed_runs=failed,
        timed_runs=succeeded if seconds is not None else 0,
        duration_sum=None if seconds is None or not succeeded else seconds * succeeded,
        duration_median=seconds if succeeded else None,
        duration_max=seconds if succeeded else None,
        records_runs=succeeded if records is not None else 0,
        records_sum=records if succeeded else None,
    )


def history(
    make: Callable[[int, date], DayStats | None], *, today: date = TODAY, days: int = REACH.days
) -> list[DayStats]:
    """A day for each of the last `days`, made from how many days ago it was (1: yesterday) and its date."""
    made = (make(ago, today - ago * DAY) for ago in range(1, days + 1))
    return [day for day in made if day is not None]


def kinds(days: list[DayStats], job: MonitoredJob = JOB, today: date = TODAY) -> list[Kind]:
    return [found.kind for found in find_trends(days, job, today=today)]


def test_a_steady_job_has_no_findings():
    assert kinds(history(lambda _, day: day_of(day))) == []


def test_a_job_without_history_has_no_finding():
    assert find_trends([], JOB, today=TODAY) == ()


@pytest.mark.parametrize(
    ("changed_days", "found"), [(1, []), (3, []), (4, [Kind.RISING_DURATION]), (7, [Kind.RISING_DURATION])]
)
def test_a_doubled_duration_is_found_from_the_fourth_day_on(changed_days, found):
    assert kinds(history(lambda ago, day: day_of(day, seconds=20 if ago <= changed_days else 10))) == found


def test_a_finding_says_what_was_observed_what_was_expected_and_over_which_days():
    days = history(lambda ago, day: day_of(day, seconds=21 if ago <= 7 else 10))
    (found,) = find_trends(days, JOB, today=TODAY)
    assert found.message == (
        "successes took 21 s (median of 7 days, 2025-11-06 to 2025-11-12); "
        "10 s is usual on these weekdays (2025-09-25 to 2025-10-22)"
    )
    assert (found.observed, found.threshold) == (21, 15)
    assert (found.severity, found.alerts) == (Health.WARNING, False)
    assert (found.since, found.evidence_at) == (datetime(2025, 11, 6, tzinfo=UTC), datetime(2025, 11, 13, tzinfo=UTC))


def test_a_lasting_change_is_usual_after_about_four_weeks():
    findings = [
        bool(kinds(history(lambda ago, day, since=since: day_of(day, seconds=20 if ago <= since else 10))))
        for since in range(40)
    ]
    assert findings.index(True) == 4
    assert all(findings[4:24])
    assert not any(findings[32:])


@pytest.mark.parametrize(
    "quick",
    [pytest.param(lambda ago: 0.05 if ago <= 7 else 0.01, id="five times of nearly nothing"),
     pytest.param(lambda ago: 14 if ago <= 7 else 10, id="less than half as much again")],
)  # fmt: skip
def test_small_rises_are_not_a_finding(quick):
    assert kinds(history(lambda ago, day: day_of(day, seconds=quick(ago)))) == []


def test_fewer_than_three_days_or_two_weeks_before_say_nothing():
    def doubled(ago: int, day: date) -> DayStats:
        return day_of(day, seconds=20 if ago <= 7 else 10)

    assert kinds(history(lambda ago, day: doubled(ago, day) if ago > 7 or ago in {1, 2} else None)) == []
    assert kinds(history(doubled, days=28)) == []
    assert kinds(history(doubled, days=35)) == [Kind.RISING_DURATION]


@pytest.mark.parametrize(
    ("per_day", "found"), [(40, []), (26, []), (24, [Kind.FALLING_RECORDS]), (0, [Kind.ZERO_RECORDS])]
)
def test_records_that_fall_below_half_are_one_finding(per_day, found):
    assert kinds(history(lambda ago, day: day_of(day, records=per_day if ago <= 7 else 50))) == found


def test_few_records_may_vary():
    assert kinds(history(lambda ago, day: day_of(day, records=1 if ago <= 7 else 8))) == []


@pytest.mark.parametrize(("days", "found"), [(2, []), (3, [Kind.ZERO_RECORDS]), (30, [Kind.ZERO_RECORDS])])
def test_days_in_a_row_without_records_are_found_where_there_usually_are_some(days, found):
    findings = find_trends(history(lambda ago, day: day_of(day, records=0 if ago <= days else 50)), JOB, today=TODAY)
    assert [one.kind for one in findings] == found
    assert [(one.observed, one.threshold) for one in findings] == [(days, 3)] * len(findings)


def test_zero_records_can_be_found_earlier_or_never():
    days = history(lambda ago, day: day_of(day, records=0 if ago <= 2 else 50))
    assert kinds(days, JOB.model_copy(update={"zero_records_days": 2})) == [Kind.ZERO_RECORDS]
    assert kinds(days, JOB.model_copy(update={"zero_records_days": 0})) == []


def test_fewer_records_are_not_a_finding_where_records_do_not_matter():
    days = history(lambda ago, day: day_of(day, records=5 if ago <= 7 else 50))
    assert kinds(days) == [Kind.FALLING_RECORDS]
    assert kinds(days, JOB.model_copy(update={"zero_records_days": 0})) == []


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(lambda _: 0, id="never any"),
        pytest.param(lambda _: None, id="never said"),
        pytest.param(lambda day: 50 if day.weekday() == 0 else 0, id="on mondays only"),
        pytest.param(lambda day: 50 if day.weekday() < 4 else 0, id="none from friday to sunday"),
        pytest.param(lambda day: 50 if day.toordinal() % 5 == 0 else 0, id="each fifth day"),
    ],
)
def test_a_job_that_often_has_no_records_has_no_finding(records):
    for shift in range(14):
        today = TODAY + shift * DAY
        assert kinds(history(lambda _, day: day_of(day, records=records(day)), today=today), today=today) == []


def test_days_without_a_success_do_not_end_a_row_without_records():
    days = history(lambda ago, day: day_of(day, records=0 if ago <= 4 else 50, failed=1 if ago == 2 else 0))
    assert kinds(days) == [Kind.ZERO_RECORDS]


@pytest.mark.parametrize(
    ("failures", "found"),
    [
        pytest.param({1, 3}, [], id="two"),
        pytest.param({1, 3, 5}, [Kind.FALLING_SUCCESS_RATE], id="three"),
        pytest.param({1, 3, 5, 22, 25, 29, 33, 36, 40, 44}, [], id="not twice as many as before"),
    ],
)
def test_failures_are_found_when_they_are_twice_as_frequent(failures, found):
    assert kinds(history(lambda ago, day: day_of(day, failed=1 if ago in failures else 0))) == found


def test_one_day_on_which_a_busy_job_failed_is_not_a_trend():
    assert kinds(history(lambda ago, day: day_of(day, runs=24, failed=24 if ago == 2 else 0))) == []


def test_a_rate_above_the_target_is_not_a_finding():
    days = history(lambda ago, day: day_of(day, runs=100, failed=1 if ago <= 7 else 0))
    assert kinds(days) == []
    assert kinds(days, JOB.model_copy(update={"target_success_rate": 99.5})) == [Kind.FALLING_SUCCESS_RATE]


def test_senseless_times_and_counts_are_tolerated():
    assert kinds(history(lambda ago, day: day_of(day, seconds=-5 if ago <= 7 else -1, records=-9))) == []
    assert kinds(history(lambda _, day: day_of(day, seconds=2.5e11, records=9 * 10**18))) == []


WEEKDAYS = st.lists(
    st.tuples(st.floats(0.1, 3000), st.integers(0, 5000), st.booleans(), st.booleans()), min_size=7, max_size=7
)


@given(WEEKDAYS, st.integers(0, 60), st.sets(st.integers(1, 63), max_size=20))
def test_no_weekday_pattern_is_a_finding_whatever_days_are_missing(pattern, shift, missing):
    today = TODAY + shift * DAY

    def patterned(ago: int, day: date) -> DayStats | None:
        seconds, records, runs, fails = pattern[day.weekday()]
        if not runs or ago in missing:
            return None
        return day_of(day, seconds=seconds, records=records, failed=1 if fails and not missing else 0)

    assert kinds(history(patterned, today=today), today=today) == []


@given(st.floats(2, 50), st.sampled_from([1, 2, 3]), st.integers(0, 400), st.floats(1, 500), st.integers(20, 5000))
def test_no_spike_at_the_end_of_a_month_is_a_finding(factor, length, shift, seconds, records):
    today = TODAY + shift * DAY

    def spiked(_: int, day: date) -> DayStats:
        at_end = (day + length * DAY).day <= length
        return day_of(day, seconds=seconds * factor if at_end else seconds, records=0 if at_end else records)

    assert set(kinds(history(spiked, today=today), JOB.model_copy(update={"zero_records_days": 4}), today)) == set()


@given(st.floats(2.0, 20), st.floats(2, 600), st.floats(0, 0.1), st.integers(0, 2**32), WEEKDAYS)
def test_a_true_doubling_is_found_within_seven_days_under_any_weekday_pattern_and_some_noise(
    factor, seconds, noise, seed, pattern
):
    chance = random.Random(seed)

    def doubled(ago: int, day: date) -> DayStats:
        usual = seconds * (1 + pattern[day.weekday()][0] / 1000) * chance.uniform(1 - noise, 1 + noise)
        return day_of(day, seconds=usual * (factor if ago <= 7 else 1))

    assert Kind.RISING_DURATION in kinds(history(doubled))


@pytest.mark.parametrize(("spread", "most"), [(0.1, 0), (0.3, 0.01), (0.6, 0.05), (1.0, 0.05)])
def test_noise_is_seldom_a_finding(spread, most):
    """Durations and records that scatter, each by itself; `spread` is the deviation of their logarithm."""
    chance = random.Random(20251113)
    findings = 0
    years = [history(lambda _, day: day_of(
        day, seconds=10 * chance.lognormvariate(0, spread), records=round(100 * chance.lognormvariate(0, spread))),
        days=365) for _ in range(4)]  # fmt: skip
    for year in years:
        for ago in range(300):
            today = TODAY - ago * DAY
            findings += bool(kinds([day for day in year if today - REACH <= day.day < today], today=today))
    assert findings / 1200 <= most


def test_todays_runs_do_not_count():
    days = history(lambda _, day: day_of(day))
    assert kinds([*days, day_of(TODAY, seconds=900, records=0)._replace(failed_runs=99)]) == []
