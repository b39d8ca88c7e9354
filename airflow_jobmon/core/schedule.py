"""Cron slots in a job's own time zone, daylight saving included.

Slots are wall-clock times of the job's zone, as Healthchecks' `cronsim` reckons them (Debian cron's rules for a
gap and a fold); everything given and returned here is aware, and what is returned is in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

_FOLD = timedelta(hours=3)
"""No zone sets its clocks back further than this, so a start this much earlier is outside any fold."""

_BACK = (timedelta(days=1), timedelta(days=8), timedelta(days=35), timedelta(days=370), timedelta(days=366 * 9))
"""How far to look back for the latest slot, nearest first; the last covers a 29 February around 1900 and 2100."""


def check_zone(name: str) -> None:
    """Raise ValueError, with a near name if there is one, unless `name` is an IANA zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        near = get_close_matches(name, available_timezones(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; use a name like Europe/Berlin"
        raise ValueError(f"timezone {name[:60]!r} is unknown{hint}") from None


def check_cron(expression: str) -> None:
    """Raise ValueError unless `expression` is a five-field cron expression that ever comes due."""
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        detail = f" ({error})" if str(error) else ""
        raise ValueError(
            f"schedule {expression[:60]!r} is no cron expression that ever comes due{detail}; "
            "write five fields, like 0 2 * * *"
        ) from None


def first_slot_after(expression: str, zone: str, after: datetime) -> datetime:
    """The first slot strictly after `after`, in UTC."""
    # cronsim started inside a fold may return a time before its start, so start before any fold and skip.
    for slot in CronSim(expression, after.astimezone(ZoneInfo(zone)) - _FOLD):
        moment = slot.astimezone(UTC)
        if moment > after:
            return moment
    raise ValueError(f"schedule {expression[:60]!r} has no slot after {after.isoformat()}")  # pragma: no cover


def latest_slot_at_or_before(expression: str, zone: str, at: datetime) -> datetime:
    """The newest slot at or before `at`, in UTC.

    Raises ValueError where the schedule had no slot in the nine years before.
    """
    local = at.astimezone(ZoneInfo(zone))
    for back in _BACK:
        latest: datetime | None = None
        for slot in CronSim(expression, local - back):
            moment = slot.astimezone(UTC)
            if moment > at:
                break
            latest = moment
        if latest is not None:
            return latest
    raise ValueError(f"schedule {expression[:60]!r} has no slot before {at.isoformat()}")


@lru_cache(maxsize=4096)
def smallest_gap(expression: str, zone: str) -> timedelta:
    """The smallest time between two slots, over a fixed fortnight without a clock change in most zones."""
    slots = CronSim(expression, datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)))
    previous = next(slots).astimezone(UTC)
    smallest = timedelta(days=366)
    end = previous + timedelta(days=8)
    for slot in slots:
        moment = slot.astimezone(UTC)
        if moment > previous:
            smallest = min(smallest, moment - previous)
        if moment > end or smallest <= timedelta(minutes=1):
            break
        previous = moment
    return smallest
