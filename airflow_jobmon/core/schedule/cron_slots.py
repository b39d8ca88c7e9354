"""Cron slots in a job's time zone, across clock changes.

The rules are those of Debian's cron. A job with fixed times runs once for each: right after a gap that skips its time,
and at the first of two times in a fold. A job whose minute or hour begins with `*` follows the clocks: skipped times do
not run, repeated times run twice. All arguments are aware, and all results are in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.zones import period_at

_TICK = timedelta(microseconds=1)

_APART = timedelta(days=3)
"""Longer than any gap or fold. Further than this from a clock change, periods without a match can be skipped; nearer,
times already passed may come again in a fold."""


def first_slot_after(expression: str, zone: str, after: datetime) -> datetime:
    """The first slot strictly after `after`, in UTC.

    Raises ValueError or OverflowError if the calendar ends first.
    """
    cron = read_cron(expression)
    at = after.astimezone(UTC) + _TICK
    while True:
        period = period_at(zone, at)
        wall = period.wall(at)
        if cron.fixed:
            # Right after a gap, skipped times are caught up; in a fold, times shown before are over.
            wall = period.reached if at == period.start else max(wall, period.reached)
        slot = max(period.moment(cron.first_at_or_after(wall)), at)
        if slot < period.end:
            return slot
        near = period.end - at <= _APART
        at = period.end if near else max(period.end, slot - _APART)


def latest_slot_at_or_before(expression: str, zone: str, at: datetime) -> datetime:
    """The newest slot at or before `at`, in UTC; raises as above at the beginning of the calendar."""
    cron = read_cron(expression)
    at = at.astimezone(UTC)
    while True:
        period = period_at(zone, at)
        wall = cron.last_at_or_before(period.wall(at))
        slot = period.moment(wall)
        if wall >= (period.reached if cron.fixed else period.wall(period.start)):
            return max(slot, period.start)
        near = at - period.start <= _APART
        at = period.start - _TICK if near else min(period.start - _TICK, slot + _APART)


def earliness(expression: str, early: timedelta) -> timedelta:
    """`early`, limited to half the smallest gap between two slots, so that a run never counts for two of them."""
    cron = read_cron(expression)
    return early if early <= cron.gap_at_least / 2 else min(early, cron.smallest_gap / 2)
