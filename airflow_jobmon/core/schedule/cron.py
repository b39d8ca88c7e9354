"""Cron expressions as wall-clock times; `schedule` applies time zones to them.

`cronsim` parses the expression and decides which days match. Stepping from one time to the next is our own code:
cronsim loses slots if a zone's clocks change by half an hour, and may step back in time when started inside a fold.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from math import inf

from cronsim import CronSim, CronSimError

_DAY = timedelta(days=1)
_MINUTES_A_DAY = 24 * 60
_YEARS = 50
"""A 29 February on a given weekday can be 40 years away; an expression without a match for this long has none."""


class Cron:
    """A parsed five-field cron expression.

    fixed: neither the minute nor the hour begins with `*`. By the rules of Debian's cron, which we follow, such a job
    runs once at each stated time, whatever the clocks do; any other job follows the clocks through gaps and folds.
    times: the matching minutes of a day, in order.
    gap_at_least: a lower bound of `smallest_gap` that is cheap: the gap if every day matched.
    """

    def __init__(self, expression: str) -> None:
        self._sim = CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
        minute, hour = expression.split()[:2]
        self.fixed = not minute.startswith("*") and not hour.startswith("*")
        self.times = tuple(sorted(hour * 60 + minute for hour in self._sim.hours for minute in self._sim.minutes))
        self._within_a_day = min((later - sooner for sooner, later in pairwise(self.times)), default=inf)
        self._over_midnight = _MINUTES_A_DAY - self.times[-1] + self.times[0]
        self.gap_at_least = timedelta(minutes=min(self._within_a_day, self._over_midnight))

    def matches(self, day: date) -> bool:
        return day.month in self._sim.months and self._sim.match_day(day)

    def first_at_or_after(self, wall: datetime) -> datetime:
        """The first matching time at or after `wall`, a naive wall-clock time.

        Raises ValueError if there is none within 50 years, or the calendar ends.
        """
        day = wall.date()
        minute = wall.hour * 60 + wall.minute + (1 if wall.second or wall.microsecond else 0)
        if self.matches(day) and (index := bisect_left(self.times, minute)) < len(self.times):
            return _at(day, self.times[index])
        return _at(self._next_day(day), self.times[0])

    def last_at_or_before(self, wall: datetime) -> datetime:
        """The last matching time at or before `wall`; raises like first_at_or_after."""
        day = wall.date()
        if self.matches(day) and (index := bisect_right(self.times, wall.hour * 60 + wall.minute)):
            return _at(day, self.times[index - 1])
        return _at(self._previous_day(day), self.times[-1])

    def _next_day(self, day: date) -> date:
        end = day.year + _YEARS
        day += _DAY
        while not self.matches(day):
            day += _DAY
            if day.month not in self._sim.months:
                day = (day.replace(day=28) + 4 * _DAY).replace(day=1)
            if day.year > end:
                raise ValueError(f"no day matches in {_YEARS} years")
        return day

    def _previous_day(self, day: date) -> date:
        end = day.year - _YEARS
        day -= _DAY
        while not self.matches(day):
            day -= _DAY
            if day.month not in self._sim.months:
                day = day.replace(day=1) - _DAY
            if day.year < end:
                raise ValueError(f"no day matches in {_YEARS} years")
        return day

    @cached_property
    def smallest_gap(self) -> timedelta:
        """The smallest time between two slots on a clock that never changes."""
        if self._within_a_day <= self._over_midnight:
            return self.gap_at_least
        across = self._over_midnight + (self._fewest_days_apart() - 1) * _MINUTES_A_DAY
        return timedelta(minutes=min(self._within_a_day, across))

    def _fewest_days_apart(self) -> int:
        """Over a leap year and the following weeks; 1 if two days in a row match."""
        day = self._next_day(date(2023, 12, 31))
        end = date(2025, 3, 1)
        fewest = 366 * 8
        while fewest > 1 and day < end:
            following = self._next_day(day)
            fewest = min(fewest, (following - day).days)
            day = following
        return fewest


@lru_cache(maxsize=16_384)
def read_cron(expression: str) -> Cron:
    """Parse a five-field expression. Raises ValueError if it is invalid or never comes due."""
    try:
        if (fields := len(expression.split())) != 5:
            raise ValueError(f"it has {fields} fields")  # noqa: TRY301 - cronsim would read a sixth as seconds
        cron = Cron(expression)
        cron.first_at_or_after(datetime.combine(date(2024, 1, 1), time()))
    except (CronSimError, ValueError) as error:
        detail = f" ({error})" if str(error) else ""
        raise ValueError(
            f"schedule {expression[:60]!r} is not a cron expression that ever comes due{detail}; "
            "write five fields, like 0 2 * * *"
        ) from None
    return cron


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))
