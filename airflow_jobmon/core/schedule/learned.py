"""A schedule learned from the starts of an unregistered job: the time by which its next run must have started.

`learning` finds it; job_state.rhythm stores it as JSON.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from operator import itemgetter
from typing import Any

HOUR, DAY, WEEK = 3600.0, 86400.0, 604800.0
"""In seconds, as all numbers here and in `learning`."""

FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC).timestamp()
"""Weeks are counted from here."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest usual time between two starts, and how much longer than that is missed, in seconds."""

    longest: float
    margin: float


@dataclass(frozen=True, slots=True)
class LearnedSchedule:
    """When the next run must have started, given the start of the last one.

    week: steps (hour of the week in UTC from Monday, expected, missed after), the latter two in seconds from the
    beginning of that week; each holds for starts from its hour up to that of the next step. typical: the median time
    between two starts; the week's steps never expect a run sooner than that, so that a manual run brings no deadline
    forward.
    """

    typical: float
    gap: Gap | None
    week: tuple[tuple[int, float, float], ...] = ()

    def after(self, start: datetime) -> tuple[datetime, datetime]:
        """When the next run should have started at the latest, and the moment after which it is missed, in UTC."""
        expected, missed = min(self._by_gap(), self._by_week(start.timestamp()), key=itemgetter(1))
        moment = start.astimezone(UTC)
        return moment + timedelta(seconds=round(expected)), moment + timedelta(seconds=round(missed))

    def due_after(self, start: datetime) -> datetime:
        """The moment after which the next run counts as missed, in UTC."""
        return self.after(start)[1]

    def _by_gap(self) -> tuple[float, float]:
        return (inf, inf) if self.gap is None else (self.gap.longest, self.gap.longest + self.gap.margin)

    def _by_week(self, start: float) -> tuple[float, float]:
        if not self.week:
            return inf, inf
        phase = (start - FIRST_MONDAY) % WEEK
        at = bisect_left(self.week, (int(phase // HOUR) + 1, 0.0, 0.0)) - 1
        _, expected, missed = self.week[at]
        turn = WEEK if at < 0 else 0.0  # before the first step, the last step of the week before holds
        expected, missed = expected - turn - phase, missed - turn - phase
        wait = max(expected, self.typical)
        return wait, wait + missed - expected

    def as_json(self) -> dict[str, Any]:
        return {
            "typical": self.typical,
            "gap": None if self.gap is None else [self.gap.longest, self.gap.margin],
            "week": [list(step) for step in self.week],
        }


def read_learned_schedule(stored: dict[str, Any] | None) -> LearnedSchedule | None:
    """Reads what `as_json` wrote; None where nothing was learned."""
    if stored is None:
        return None
    gap = None if stored["gap"] is None else Gap(*stored["gap"])
    return LearnedSchedule(stored["typical"], gap, tuple(map(tuple, stored["week"])))
