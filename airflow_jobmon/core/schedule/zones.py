"""The clocks of a time zone: when they change, and their offset from UTC in between.

Moments are aware and in UTC; wall times are naive: what the clocks show.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_LONGEST_FOLD = 3 * _DAY
"""More than enough: the longest time that any zone's clocks ever repeated was a day."""


class Period(NamedTuple):
    """A period from `start` until before `end` in which a zone's clocks had one `offset` from UTC.

    reached: the latest wall time shown before `start`. If the clocks went forward at `start`, it is less than what they
    show then (a gap); if they went back, it is more (a fold). If the two are equal, nothing changed: periods also end
    with the UTC year.
    """

    start: datetime
    end: datetime
    offset: timedelta
    reached: datetime

    def wall(self, moment: datetime) -> datetime:
        return (moment + self.offset).replace(tzinfo=None)

    def moment(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=UTC) - self.offset


def check_zone(name: str) -> None:
    """Raise ValueError, with a similar name if there is one, unless `name` is an IANA zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        near = get_close_matches(name, available_timezones(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; use a name like Europe/Berlin"
        raise ValueError(f"timezone {name[:60]!r} is unknown{hint}") from None


def period_at(zone: str, moment: datetime) -> Period:
    """The period that holds `moment` (aware, in UTC).

    Raises ValueError or OverflowError at the ends of the calendar.
    """
    for period in _periods_of_year(zone, moment.year):
        if moment < period.end:
            return period
    raise AssertionError(f"{moment} lies after its own year")  # pragma: no cover


def periods_after_changes(zone: str, start: datetime, end: datetime) -> Iterator[Period]:
    """The periods that began with a clock change, from `start` until before `end` (UTC), in order."""
    for year in range(start.year, end.year + 1):
        for period in _periods_of_year(zone, year):
            if start <= period.start < end and period_at(zone, period.start - _TICK).offset != period.offset:
                yield period


@lru_cache(maxsize=4096)
def _periods_of_year(zone: str, year: int) -> tuple[Period, ...]:
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    info = ZoneInfo(zone)
    # A fold may reach from one year into the next, so begin before it.
    start = begin - _LONGEST_FOLD
    offset = _offset(info, start)
    reached = (start + offset).replace(tzinfo=None)
    found: list[Period] = []
    for change in [*_changes(info, start, end), end]:
        if change > begin > start:
            found.append(Period(begin, change, offset, max(reached, (begin + offset).replace(tzinfo=None))))
        elif change > begin:
            found.append(Period(start, change, offset, reached))
        reached = max(reached, (change + offset).replace(tzinfo=None))
        start, offset = change, _offset(info, change)
    return tuple(found)


def _changes(info: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """When the offset changed, from `start` until before `end`: found day by day, since zoneinfo lists no changes."""
    offset = _offset(info, start)
    while start < end:
        stop = min(start + _DAY, end)
        while _offset(info, stop) != offset:
            before, after = start, stop
            while after - before > _TICK:
                middle = before + (after - before) / 2
                before, after = (middle, after) if _offset(info, middle) == offset else (before, middle)
            start, offset = after, _offset(info, after)
            if start < end:
                yield start
        start = stop


def _offset(info: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(info).utcoffset()
    return timedelta(0) if offset is None else offset
