"""Cron slots in a job's own time zone, clock changes included.

Debian cron's rules. A job of fixed times runs once for each: right after a gap that its time falls into, and the first
time in a fold. One whose minute or hour begins with `*` goes by what the clocks show: what a gap leaves out does not
run, what a fold shows twice runs twice. Everything given and returned is aware, and what is returned is in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.zones import period_at

_TICK = timedelta(microseconds=1)

_APART = timedelta(days=3)
"""Longer than any gap or fold. Further than this from a change of clocks, periods in which no time matches are leapt
over; nearer, what was looked through may come again in a fold."""


def first_slot_after(expression: str, zone: str, after: datetime) -> datetime:
    """The first slot strictly after `after`, in UTC.

    Raises ValueError or OverflowError where the calendar ends before one comes.
    """
    cron = read_cron(expression)
    at = after.astimezone(UTC) + _TICK
    while True:
        period = period_at(zone, at)
        wall = period.wall(at)
        if cron.fixed:
            # Right after a gap, what fell into it is caught up; in a fold, what was shown before is over.
            wall = period.reached if at == period.start else max(wall, period.reached)
        slot = max(period.moment(cron.first_at_or_after(wall)), at)
        if slot < period.end:
            return slot
        near = period.end - at <= _APART
        at = period.end if near else max(period.end, slot - _APART)


def latest_slot_at_or_before(expression: str, zone: str, at: datetime) -> datetime:
    """The newest slot at or before `at`, in UTC; raises as above where the calendar begins."""
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
    """`early`, held to half the smallest time between two slots, so that a run never counts for two of them."""
    cron = read_cron(expression)
    return early if early <= cron.gap_at_least / 2 else min(early, cron.smallest_gap / 2)
