"""Cron read a second time, slowly: every minute is looked at, in UTC, with what a clock in the zone shows then.

It shares nothing with the package or with cronsim but zoneinfo. The rules are those of Debian's cron(8) and crontab(5).
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr)}
_DAYS = {name.upper(): (number + 1) % 7 for number, name in enumerate(calendar.day_abbr)}


@dataclass(frozen=True)
class Reading:
    """What an expression says, term by term; `wild` jobs follow the clock through its changes."""

    minutes: frozenset[int]
    hours: frozenset[int]
    day_terms: tuple[str, ...]
    months: frozenset[int]
    weekday_terms: tuple[str, ...]
    both_days: bool
    wild: bool


@cache
def read(expression: str) -> Reading:
    minute, hour, day, month, weekday = expression.upper().split()
    return Reading(
        minutes=frozenset(n for term in minute.split(",") for n in numbers(term, 0, 59)),
        hours=frozenset(n for term in hour.split(",") for n in numbers(term, 0, 23)),
        day_terms=tuple(day.split(",")),
        months=frozenset(n for term in month.split(",") for n in numbers(term, 1, 12, _MONTHS)),
        weekday_terms=tuple(weekday.split(",")),
        both_days="*" in (day[0], weekday[0]),
        wild="*" in (minute[0], hour[0]),
    )


def numbers(term: str, low: int, high: int, names: dict[str, int] | None = None) -> list[int]:
    """The numbers of `7`, `*`, `1-5`, `*/2`, `3-20/4` or `10/15`."""
    value, _, step = term.partition("/")
    if value == "*":
        first, last = low, high
    elif "-" in value:
        first, last = (number(part, names) for part in value.split("-"))
    else:
        first = number(value, names)
        last = high if step else first
    return [n for n in range(first, last + 1) if (n - first) % int(step or 1) == 0]


def number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def day_matches(reading: Reading, day: date) -> bool:
    if day.month not in reading.months:
        return False
    by_date = any(date_term(term, day) for term in reading.day_terms)
    by_weekday = any(weekday_term(term, day) for term in reading.weekday_terms)
    return (by_date and by_weekday) if reading.both_days else (by_date or by_weekday)


def date_term(term: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if term == "L":
        return day.day == last
    if term == "LW":
        workdays = [n for n in range(1, last + 1) if day.replace(day=n).weekday() < 5]
        return day.day == workdays[-1]
    return day.day in numbers(term, 1, 31)


def weekday_term(term: str, day: date) -> bool:
    if term.endswith("L"):
        return day.isoweekday() % 7 == int(term[:-1]) % 7 and (day + timedelta(days=7)).month != day.month
    if "#" in term:
        wanted, nth = term.split("#")
        return day.isoweekday() % 7 == number(wanted, _DAYS) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    return any(n % 7 == day.isoweekday() % 7 for n in numbers(term, 0, 7, _DAYS))


@cache
def _times_of(expression: str, day: date) -> frozenset[int]:
    reading = read(expression)
    if not day_matches(reading, day):
        return frozenset()
    return frozenset(hour * 60 + minute for hour in reading.hours for minute in reading.minutes)


def matches(expression: str, wall: datetime) -> bool:
    return wall.hour * 60 + wall.minute in _times_of(expression, wall.date())


@cache
def walls(zone: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Each UTC minute from `start` to `end`, and what the clocks of the zone show then."""
    info = ZoneInfo(zone)
    shown = []
    while start <= end:
        shown.append((start, start.astimezone(info).replace(tzinfo=None)))
        start += MINUTE
    return shown


def slots(expression: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The slots after `start` and up to `end`; `start` must lie in no fold.

    A job of fixed times runs for every minute that the clocks have come to or jumped over, once; a wild one whenever
    the clocks show a time that it names.
    """
    wild = read(expression).wild
    minutes = iter(walls(zone, start, end))
    _, furthest = next(minutes)
    for moment, wall in minutes:
        if wild:
            if matches(expression, wall):
                yield moment
        elif any(matches(expression, passed) for passed in _between(furthest, wall)):
            yield moment
        furthest = max(furthest, wall)


def _between(furthest: datetime, wall: datetime) -> Iterator[datetime]:
    while furthest < wall:
        furthest += MINUTE
        yield furthest


@cache
def minutes_of_changes(zone: str, first_year: int, last_year: int) -> list[datetime]:
    """The minutes in which the zone's clocks were set, found by looking twice a day."""
    info = ZoneInfo(zone)
    found = []
    moment, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    offset = moment.astimezone(info).utcoffset()
    while moment < end:
        moment += timedelta(hours=12)
        if (following := moment.astimezone(info).utcoffset()) != offset:
            back = moment - timedelta(hours=12)
            while back.astimezone(info).utcoffset() == offset:
                back += MINUTE
            found.append(back)
            offset = following
    return found
