"""How well a cron schedule explains when a job's runs started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.cron_slots import first_slot_after, latest_slot_at_or_before

_EARLY = timedelta(minutes=5)
_LATE = timedelta(hours=2)
"""A later run does not count for the slot: it came after an outage, or was started by hand."""

_FEWEST_KEPT = 5
_FEWEST_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A schedule compared with runs.

    lateness: of the first run in each slot that had one, in order; negative for an early run. missed: slots without a
    run, from the first slot that had one to the newest run; at_the_end: how many of the newest slots, in a row, are
    among them. since_then: slots after the newest run. extra: runs outside any slot, or not the first one in theirs.
    """

    expression: str
    zone: str
    lateness: tuple[timedelta, ...]
    missed: int
    at_the_end: int
    since_then: int
    extra: int

    @property
    def kept(self) -> int:
        return len(self.lateness)

    @property
    def cost(self) -> float:
        """The runs and slots that the schedule leaves unexplained; an hour off the usual lateness counts as one."""
        usual = sorted(self.lateness)[len(self.lateness) // 2] if self.lateness else timedelta(0)
        uneven = sum((min(abs(late - usual), _LATE) for late in self.lateness), timedelta(0)) / timedelta(hours=1)
        return self.missed + self.extra + self.since_then + uneven

    @property
    def is_good(self) -> bool:
        """Some missed and manual runs are tolerated; a schedule with more list items needs more runs to confirm it."""
        enough = max(_FEWEST_KEPT, 3 * (self.expression.count(",") + 1))
        return self.kept >= enough and _is_tolerable(self.missed, self.extra, self.kept) and self._is_punctual

    @property
    def _is_punctual(self) -> bool:
        """Whether lateness varies little; runs at random times would be late by anything up to the limit."""
        ordered = sorted(self.lateness)
        most, least = ordered[int(0.9 * (len(ordered) - 1))], ordered[int(0.1 * len(ordered))]
        return most - least <= 0.6 * min(_LATE, read_cron(self.expression).gap_at_least / 2)

    @property
    def is_over(self) -> bool:
        """Whether the job once kept to this schedule, and its newest runs do not."""
        return self.at_the_end >= _FEWEST_OTHERS


def _is_tolerable(missed: int, extra: int, kept: int) -> bool:
    return missed <= 0.25 * kept and missed + extra <= 0.5 * kept


def fit_cron(expression: str, zone: str, starts: Sequence[datetime], until: datetime) -> Fit | None:
    """Compare a schedule with starts (UTC, in order), which are complete up to `until`.

    None as soon as it is clear that the starts do not follow it.
    """
    lateness: list[timedelta] = []
    missed = at_the_end = since_then = taken = extra = 0
    early = min(_EARLY, read_cron(expression).gap_at_least / 2)
    slot = latest_slot_at_or_before(expression, zone, starts[0] + early)
    slots_left = 4 * len(starts) + 50
    while slot <= until:
        following = first_slot_after(expression, zone, slot)
        late = min(_LATE, (following - slot) / 2)
        while taken < len(starts) and starts[taken] < slot - early:
            taken, extra = taken + 1, extra + 1
        if taken == len(starts):
            since_then += slot + late <= until
        elif starts[taken] <= slot + late:
            lateness.append(starts[taken] - slot)
            taken, at_the_end = taken + 1, 0
        elif lateness:
            missed, at_the_end = missed + 1, at_the_end + 1
        slots_left -= 1
        if not slots_left or not _is_tolerable(missed, extra, len(starts)):
            return None
        slot = following
    return Fit(expression, zone, tuple(lateness), missed, at_the_end, since_then, extra + len(starts) - taken)
