"""Finds trends: rising durations, falling success rates, falling or missing records, compared with what is usual.

Whole UTC days are compared. The *last week* is the seven days before today. *Usual* is the four weeks that ended two
weeks before the last week: for each weekday the median of its days in them, of which at least two must have had runs.
So a weekend, or a job that is slow each Monday, is not a finding, and a change is found before it becomes usual.

- **Rising duration.** On the median day of the last week, successes took over 1.5 times as long as usual, over a second
  longer, and longer than on nine of ten days of those weeks. A day counts by its median run; at least three days must
  have runs.
- **Falling records.** On the median day of the last week, runs updated less than half of the usual records, and fewer
  than on nine of ten days of those weeks. Weekdays that usually have fewer than ten do not count; at least
  three days must.
- **Falling success rate.** The last week's rate is below the job's target (98 %), and failures were at least twice as
  frequent as in those weeks. It takes three failures on three days, five finished runs in the last week, twenty before.
- **Zero records.** On `zero_records_days` days in a row (3), counting only weekdays that usually have some, runs
  succeeded and logged zero updated records, for longer than ever in the four weeks before. It ends as soon
  as a run updates some. `zero_records_days: 0` switches both rules about records off.

A single bad day, or three at the end of a month, is none of these. A lasting change is a finding from the fourth day on
for about three weeks; then it is usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.days import DayStats
from airflow_jobmon.core.model.health import Finding, Health, Kind
from airflow_jobmon.core.times import roughly

REACH = timedelta(days=63)
"""How far back days are read: up to five weeks without records, and the four weeks before them."""

_WEEK, _FOUR_WEEKS = timedelta(days=7), timedelta(days=28)
_GAP = timedelta(days=14)
"""Between the last week and the weeks that it is compared with."""

_FEWEST_ALIKE = 2
_FEWEST_DAYS = 3

_RISE, _RISE_SECONDS = 1.5, 1.0
_FALL, _FEWEST_RECORDS = 0.5, 10.0
_UNUSUAL = 0.9

_FEWEST_RECENT_RUNS, _FEWEST_RUNS_BEFORE, _FEWEST_FAILURES = 5, 20, 3
_MORE_FAILURES = 2.0

Measure = Callable[[DayStats], float | None]


def find_trends(days: Sequence[DayStats], job: MonitoredJob, *, today: date) -> tuple[Finding, ...]:
    """Find what got worse before `today` (UTC); `days` are the days with runs, in any order.

    The findings are warnings that do not alert. `observed` and `threshold` are seconds for rising_duration, records a
    day for falling_records, percent for falling_success_rate, days in a row for zero_records.
    """
    history = {day.day: day for day in days if day.day < today}
    return tuple(_findings(history, job, today))


def _findings(history: Mapping[date, DayStats], job: MonitoredJob, today: date) -> Iterator[Finding]:
    if rising := _rising_duration(history, today):
        yield rising
    if falling := _falling_success_rate(history, job, today):
        yield falling
    if job.zero_records_days and (
        fewer := _zero_records(history, job.zero_records_days, today) or _falling_records(history, today)
    ):
        yield fewer


def _rising_duration(history: Mapping[date, DayStats], today: date) -> Finding | None:
    compared = _compare(history, _duration, today, least=0.0)
    if compared is None:
        return None
    ratios, before, took, usual = compared
    if median(ratios) <= _RISE or took - usual < _RISE_SECONDS or not _is_unusual(median(ratios), before, over=True):
        return None
    return _finding(
        Kind.RISING_DURATION,
        f"successes took {_seconds(took)} (median of {len(ratios)} days, {_span(today)}); "
        f"{_seconds(usual)} is usual on these weekdays ({_earlier(today)})",
        observed=round(took, 3),
        threshold=round(usual * _RISE, 3),
        since=today - _WEEK,
        today=today,
    )


def _falling_records(history: Mapping[date, DayStats], today: date) -> Finding | None:
    compared = _compare(history, _records, today, least=_FEWEST_RECORDS)
    if compared is None:
        return None
    ratios, before, came, usual = compared
    if median(ratios) >= _FALL or not _is_unusual(median(ratios), before, over=False):
        return None
    return _finding(
        Kind.FALLING_RECORDS,
        f"{came:g} records a day (median of {len(ratios)} days, {_span(today)}); "
        f"{usual:g} is usual on these weekdays ({_earlier(today)})",
        observed=came,
        threshold=usual * _FALL,
        since=today - _WEEK,
        today=today,
    )


def _falling_success_rate(history: Mapping[date, DayStats], job: MonitoredJob, today: date) -> Finding | None:
    recent = [day for day in history.values() if day.day >= today - _WEEK]
    end = today - _WEEK - _GAP
    before = [day for day in history.values() if end - _FOUR_WEEKS <= day.day < end]
    runs, runs_before = (sum(day.finished_runs for day in side) for side in (recent, before))
    failed, failed_before = (sum(day.failed_runs for day in side) for side in (recent, before))
    if runs < _FEWEST_RECENT_RUNS or runs_before < _FEWEST_RUNS_BEFORE:
        return None
    if min(failed, sum(day.failed_runs > 0 for day in recent)) < _FEWEST_FAILURES:
        return None
    rate, rate_before = 100 - 100 * failed / runs, 100 - 100 * failed_before / runs_before
    threshold = min(job.target_success_rate, 100 - _MORE_FAILURES * (100 - rate_before))
    if rate >= job.target_success_rate or rate > threshold:
        return None
    return _finding(
        Kind.FALLING_SUCCESS_RATE,
        f"{rate:.2f} % of {runs} runs succeeded in {_span(today)}, {rate_before:.2f} % of {runs_before} in "
        f"{_earlier(today)}; the target is {job.target_success_rate:g} %",
        observed=round(rate, 2),
        threshold=round(threshold, 2),
        since=today - _WEEK,
        today=today,
    )


def _zero_records(history: Mapping[date, DayStats], in_a_row: int, today: date) -> Finding | None:
    row: list[date] = []
    for day in sorted(history, reverse=True):
        records = _records(history[day])
        if records is not None and records > 0:
            break
        if records is not None:
            row.append(day)
    if not row:
        return None
    usual = {
        weekday: found for weekday in range(7) if (found := _usual(history, _records, row[-1], weekday)) is not None
    }
    dry = [day for day in row if usual.get(day.weekday(), 0) > 0]
    if len(dry) < in_a_row or len(dry) <= _longest_dry_row(history, usual, row[-1]):
        return None
    return _finding(
        Kind.ZERO_RECORDS,
        f"no records updated on {len(dry)} days in a row ({dry[-1]} to {dry[0]}), though runs succeeded; "
        f"{median(usual[day.weekday()] for day in dry):g} a day was usual on these weekdays in the four weeks before",
        observed=len(dry),
        threshold=in_a_row,
        since=dry[-1],
        today=today,
    )


def _longest_dry_row(history: Mapping[date, DayStats], usual: Mapping[int, float], end: date) -> int:
    """How many days in a row had no records, where some were usual, in the four weeks before `end`."""
    longest = length = 0
    for day in sorted(day for day in history if end - _FOUR_WEEKS <= day < end):
        records = _records(history[day])
        if records is None or not usual.get(day.weekday(), 0) > 0:
            continue
        length = length + 1 if records == 0 else 0
        longest = max(longest, length)
    return longest


def _compare(
    history: Mapping[date, DayStats], measure: Measure, today: date, *, least: float
) -> tuple[list[float], list[float], float, float] | None:
    """Return the last week's days and the earlier days as shares of the usual, the last week's median and its usual.

    None where fewer than three days of the last week can be compared: their usual must be over `least`.
    """
    start, end = today - _WEEK, today - _WEEK - _GAP
    usual = {
        weekday: found
        for weekday in range(7)
        if (found := _usual(history, measure, end, weekday)) is not None and found > least
    }
    recent = [
        (value, usual[day.weekday()])
        for day, stats in history.items()
        if day >= start and day.weekday() in usual and (value := measure(stats)) is not None
    ]
    if len(recent) < _FEWEST_DAYS:
        return None
    before = [
        value / usual[day.weekday()]
        for day, stats in history.items()
        if end - _FOUR_WEEKS <= day < end and day.weekday() in usual and (value := measure(stats)) is not None
    ]
    ratios = [value / expected for value, expected in recent]
    return ratios, before, median(value for value, _ in recent), median(expected for _, expected in recent)


def _usual(history: Mapping[date, DayStats], measure: Measure, end: date, weekday: int) -> float | None:
    """The median of the same weekday in the four weeks before `end`; None where fewer than two had a value."""
    first = end - timedelta(days=(end.weekday() - weekday - 1) % 7 + 1)
    found = [
        value
        for week in range(4)
        if (stats := history.get(first - week * _WEEK)) is not None and (value := measure(stats)) is not None
    ]
    return median(found) if len(found) >= _FEWEST_ALIKE else None


def _is_unusual(ratio: float, before: Sequence[float], *, over: bool) -> bool:
    beyond = sum(ratio > other if over else ratio < other for other in before)
    return beyond >= _UNUSUAL * len(before)


def _duration(day: DayStats) -> float | None:
    return day.duration_median


def _records(day: DayStats) -> float | None:
    return None if day.records_sum is None else float(day.records_sum)


def _finding(kind: Kind, message: str, *, observed: float, threshold: float, since: date, today: date) -> Finding:
    return Finding(
        kind=kind,
        severity=Health.WARNING,
        message=message,
        observed=observed,
        threshold=threshold,
        since=_midnight(since),
        evidence_at=_midnight(today),
        alerts=False,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _span(today: date) -> str:
    return f"{today - _WEEK} to {today - timedelta(days=1)}"


def _earlier(today: date) -> str:
    end = today - _WEEK - _GAP
    return f"{end - _FOUR_WEEKS} to {end - timedelta(days=1)}"


def _seconds(value: float) -> str:
    return roughly(timedelta(seconds=value))
