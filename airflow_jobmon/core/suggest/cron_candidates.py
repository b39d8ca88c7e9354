"""Cron expressions that a job may follow, guessed from when its runs started; `cron_fit` says how well each one fits.

Generous on purpose: a wrong guess costs one comparison, a missing one the schedule. Wall times are naive, in one zone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median

_HOUR, _DAY = 60.0, 1440.0
"""In minutes, like all numbers here."""

_STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Minutes between runs that a cron expression can state."""

_APART = (8.0, 25.0, 90.0)
"""Starts further apart than this are at different times of day; several are tried, since jobs differ in punctuality."""

_USUAL = 0.6
"""The share of possible days (or hours) with a run that makes it a rule."""

_MONTHS_SEEN = timedelta(days=55)
"""A shorter history shows no day of the month twice."""


def cron_candidates(walls: Sequence[datetime], until: datetime, unseen: set[int]) -> list[str]:
    """Expressions for runs that started at these wall times, in order and complete up to `until`.

    `unseen`: weekdays (Sunday is 0) on which the job is assumed to run if none of them fell into this time.
    """
    found = [*_often(walls, until, unseen)]
    before = 0
    for apart in _APART:
        clusters = _clusters(walls, apart)
        if len(clusters) <= len(walls) / 2 and len(clusters) != before:
            found += _at_times_of_day(walls, clusters, until, unseen)
        before = len(clusters)
    return list(dict.fromkeys(found))


def usual_weekdays(walls: Sequence[datetime]) -> set[int]:
    """The weekdays (Sunday is 0) on which the job runs: those seen, and a guess for those that did not occur.

    If no weekend day occurred, the job is assumed not to run on weekends, which raises no false alarm.
    """
    days = {wall.date() for wall in walls}
    could, did = _weekdays_between(min(days), max(days)), Counter(_weekday(day) for day in days)
    ran = {weekday for weekday in could if did[weekday] >= _USUAL * could[weekday]}
    guessed = set(range(7)) if {0, 6} & could.keys() else set(range(1, 6))
    return ran | (guessed - could.keys())


def nominal(values: Iterable[float], period: float) -> int:
    """The minute that these starts were scheduled for: they come at it or a little later. Minutes wrap at `period`.

    Outliers are left out: what counts is the shortest stretch that holds most of the starts, and those just before it.
    """
    values = sorted(values)
    around = [*values, *(value + period for value in values)]
    most = max(1, round(0.8 * len(values)))
    start = min(range(len(values)), key=lambda at: around[at + most - 1] - around[at])
    width = around[start + most - 1] - around[start]
    near = max(width / 4, 0.25)
    at = start + len(values)
    while at > start + most and around[at] - around[at - 1] <= near:
        at -= 1
    first = around[at] if around[at] < period else around[at] - period
    # Started a few seconds early, by the clock of another machine.
    if first % 1 > 0.8 and width < 0.5:
        return round(first) % int(period)
    minute = int(first)
    # A pod takes a minute to start; if the delay were random, some runs would have started sooner.
    if first - minute > max(0.2, 4 * width / len(values)):
        minute = next((round_one for round_one in range(minute, max(minute - 5, -1), -1) if round_one % 5 == 0), minute)
    return minute


def _often(walls: Sequence[datetime], until: datetime, unseen: set[int]) -> Iterator[str]:
    """Every so many minutes, perhaps only in some hours of some days."""
    typical = median((later - sooner).total_seconds() / 60 for sooner, later in pairwise(walls))
    if typical > 1.5 * _HOUR:
        return
    for step in sorted(_STEPS, key=lambda step: abs(step - typical))[:2]:
        phase = nominal((_minute(wall) % step for wall in walls), step)
        slots = {_at_minute(wall, _minute(wall) - (_minute(wall) - phase) % step) for wall in walls}
        minutes = _sequence(range(phase % step, 60, step), 0, 59)
        days = {slot.date() for slot in slots}
        last = (until - timedelta(days=1)).date()
        for day_of_month, month_and_weekday, chosen in _days(days, min(days), last, unseen):
            seen = Counter(hour for hour, day in {(slot.hour, slot.date()) for slot in slots} if day in chosen)
            hours = [hour for hour, times in seen.items() if times >= 0.5 * len(days & chosen)]
            if hours:
                yield f"{minutes} {_sequence(hours, 0, 23)} {day_of_month} {month_and_weekday}"


def _at_times_of_day(
    walls: Sequence[datetime], clusters: list[list[datetime]], until: datetime, unseen: set[int]
) -> Iterator[str]:
    """At some times of day on some days; each cluster holds the runs of one time of day."""
    meant: dict[int, set[date]] = {}
    for cluster in clusters:
        minute = nominal([_minute(wall) for wall in cluster], _DAY)
        slots = (_at_minute(wall, _minute(wall) - (_minute(wall) - minute + 5) % _DAY + 5) for wall in cluster)
        meant.setdefault(minute, set()).update(slot.date() for slot in slots)
    most = max(len(days) for days in meant.values())
    usual = {minute: days for minute, days in meant.items() if len(days) >= _USUAL * most}
    for times in {tuple(sorted(usual)), (max(usual, key=lambda minute: len(usual[minute])),)}:
        minutes, hours = {time % 60 for time in times}, {time // 60 for time in times}
        if len(minutes) * len(hours) != len(times):
            # If they differ only a little, they were scheduled for the same minute of the hour.
            minutes = {nominal((_minute(wall) % _HOUR for wall in walls), _HOUR)}
        days = set().union(*(usual[time] for time in times))
        last = (until - timedelta(minutes=max(times))).date()
        for day_of_month, month_and_weekday, _ in _days(days, min(days), last, unseen):
            yield f"{_sequence(minutes, 0, 59)} {_sequence(hours, 0, 23)} {day_of_month} {month_and_weekday}"


def _days(days: set[date], first: date, last: date, unseen: set[int]) -> Iterator[tuple[str, str, set[date]]]:
    """Day-of-month field, month and weekday fields, and the days these name, for runs on these days."""
    last = max(last, *days)
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    could, did = _weekdays_between(first, last), Counter(_weekday(day) for day in days)
    weekdays = {weekday for weekday in could if did[weekday] >= _USUAL * could[weekday]} | (unseen - could.keys())
    # In a week or two, one missed night makes a weekday look like a day off.
    for several in [weekdays, set(range(1, 6)), set(range(7))] if len(weekdays) > 2 else [weekdays]:
        if several and several <= could.keys() | unseen:
            yield "*", f"* {_sequence(several, 0, 6)}", {day for day in every if _weekday(day) in several}
    if last - first < _MONTHS_SEEN or len(days) < 5:
        return
    dates = Counter(day.day for day in every)
    ran = Counter(day.day for day in days)
    usual = {number for number in dates if ran[number] >= _USUAL * dates[number]}
    if usual and len(usual) < 31:
        yield _sequence(usual, 1, 31), "* *", {day for day in every if day.day in usual}
    ends = {day for day in every if (day + timedelta(days=1)).day == 1}
    if len(days & ends) >= _USUAL * len(days):
        yield "L", "* *", ends
    (weekday, nth), times = Counter((_weekday(day), (day.day + 6) // 7) for day in days).most_common(1)[0]
    if times >= _USUAL * len(days):
        meant = {day for day in every if (_weekday(day), (day.day + 6) // 7) == (weekday, nth)}
        yield "*", f"* {weekday}#{nth}", meant


def _weekdays_between(first: date, last: date) -> Counter[int]:
    return Counter(_weekday(first + timedelta(days=n)) for n in range((last - first).days + 1))


def _weekday(day: date) -> int:
    """As cron counts them: Sunday is 0."""
    return day.isoweekday() % 7


def _clusters(walls: Sequence[datetime], apart: float) -> list[list[datetime]]:
    """Split at the times of day around which nothing started for this long."""
    ordered = sorted(walls, key=_minute)
    gaps = [(_minute(later) - _minute(sooner)) % _DAY for sooner, later in pairwise([*ordered, ordered[0]])]
    cuts = [at + 1 for at, gap in enumerate(gaps) if gap > apart]
    if not cuts:
        return [ordered]
    parts = [ordered[low:high] for low, high in pairwise(cuts)]
    return [*parts, ordered[cuts[-1] :] + ordered[: cuts[0]]]


def _minute(wall: datetime) -> float:
    """Minute of the day, with its fraction."""
    return wall.hour * 60 + wall.minute + wall.second / 60 + wall.microsecond / 60e6


def _at_minute(wall: datetime, minute: float) -> datetime:
    """That minute of the day; below 0 or over 1440 it lies in the day before or after."""
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(minutes=round(minute))


def _sequence(numbers: Iterable[int], low: int, high: int) -> str:
    """The shortest cron field for them: `*`, `*/2`, `1-5`, `7-59/20`, or a list."""
    ordered = sorted(set(numbers))
    if len(ordered) == 1:
        return str(ordered[0])
    step = ordered[1] - ordered[0]
    if ordered == list(range(ordered[0], ordered[-1] + 1, step)) and (len(ordered) > 2 or step == 1):
        whole = ordered[-1] + step > high
        if whole and ordered[0] == low:
            return "*" if step == 1 else f"*/{step}"
        if len(ordered) > 2:
            return f"{ordered[0]}-{high if whole else ordered[-1]}" + (f"/{step}" if step > 1 else "")
    return ",".join(map(str, ordered))
