"""How well a schedule explains when a job's runs started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.schedule import first_slot_after, latest_slot_at_or_before

_EARLY = timedelta(minutes=5)
_LATE = timedelta(hours=2)
"""A run later than this is no late one but one out of turn: after an outage, or by hand."""

_FEWEST_KEPT = 5
_FEWEST_OTHERS = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A schedule held against runs.

    lateness: of the first run of each slot that had one, in order of slots; negative for an early one. missed: slots
    that had none, from the first of those to the newest run; at_the_end: how many of them are the newest, one after the
    other. since_then: slots after the newest run. extra: runs that belong to no slot or are not its first.
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
        """What it leaves unexplained, in runs and slots; an hour more or less late than usual counts as one."""
        usual = sorted(self.lateness)[len(self.lateness) // 2] if self.lateness else timedelta(0)
        uneven = sum((min(abs(late - usual), _LATE) for late in self.lateness), timedelta(0)) / timedelta(hours=1)
        return self.missed + self.extra + self.since_then + uneven

    @property
    def is_good(self) -> bool:
        """Missed nights and runs by hand are borne; a schedule of many words takes more runs to bear it out."""
        enough = max(_FEWEST_KEPT, 3 * (self.expression.count(",") + 1))
        return self.kept >= enough and _is_borne(self.missed, self.extra, self.kept) and self._is_punctual

    @property
    def _is_punctual(self) -> bool:
        """Runs at any time would be late by anything up to what is still taken for late."""
        ordered = sorted(self.lateness)
        most, least = ordered[int(0.9 * (len(ordered) - 1))], ordered[int(0.1 * len(ordered))]
        return most - least <= 0.6 * min(_LATE, read_cron(self.expression).gap_at_least / 2)

    @property
    def is_over(self) -> bool:
        """It was kept once; the newest runs keep to something else."""
        return self.at_the_end >= _FEWEST_OTHERS


def _is_borne(missed: int, extra: int, kept: int) -> bool:
    return missed <= 0.25 * kept and missed + extra <= 0.5 * kept


def fit_cron(expression: str, zone: str, starts: Sequence[datetime], until: datetime) -> Fit | None:
    """Hold a schedule against starts (UTC, in order), of which none is missing up to `until`.

    None where it is plain on the way that they are not its own.
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
        if not slots_left or not _is_borne(missed, extra, len(starts)):
            return None
        slot = following
    return Fit(expression, zone, tuple(lateness), missed, at_the_end, since_then, extra + len(starts) - taken)
