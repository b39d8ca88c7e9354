"""A job's own rhythm: when its next run must have come, learned from when its runs started.

Two rules are learned, each only where the runs bear it out; where both can be told, the earlier deadline counts:

- *Longer than ever.* The next run is expected within the longest gap there has been between two runs, and is
  missed a tenth later (at least one hour, two for a job that comes less often than hourly, and as much more as the long
  gaps differ). While the job has not been seen on each day of the week, it may rest at night or on weekends:
  then the gap may last three days.
- *Later than at this time of any week.* Over the last ten weeks (three at least), the next run is expected by the
  latest that it came after the same time of the week, and is missed two hours later, or as much later as those weeks
  differ. This is what tells a weekday job's Friday from its Tuesday, and a night from a day.

No rule is learned from fewer than five runs or from less than a day, nor where the runs follow none. One exception in
nine weeks, such as a night that was missed, is set aside once it is a week old; a newer one may be a new rhythm, so
that for a while only the first rule holds. All is reckoned in UTC, and the margins bear a job being an hour earlier or
later after a clock change. So a job that stops is missed at the latest after its longest gap, a quarter of it and
five hours (three days and eight hours while it is young), and one that keeps its rhythm is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

FEWEST_STARTS = 5
"""No rhythm can be told from fewer runs."""

_HOUR, _DAY, _WEEK = 3600.0, 86400.0, 604800.0
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC).timestamp()

_SAME_OCCASION = 1.5 * _HOUR
"""A start this soon after a time of the week may be the run that belongs to it: clock changes and jitter move it."""

_WEEKS, _FEWEST_WEEKS, _WEEKS_FOR_EXCEPTIONS = 10, 3, 9
"""How many weeks are looked at; fewer say nothing, and in nine a pause of each month shows twice: no exception."""

_MOST_STARTS = 2300
"""More are not looked at: 24 days of a run each quarter of an hour."""

_ALIKE = 1.5
"""Gaps of which the longest is at most this many times the shortest are of one kind."""

_WEEKEND_OFF = 3 * _DAY


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest usual time between two starts, and how much more of it is missed, in seconds."""

    longest: float
    margin: float


@dataclass(frozen=True, slots=True)
class LearnedSchedule:
    """When the next run must have come, by when the last one came.

    week: steps (hour of the week in UTC from Monday, expected, missed after), the latter two in seconds since that
    week's beginning; each holds for starts from its hour to that of the next step. typical: the middle time between two
    starts, which a run out of turn never makes shorter.
    """

    typical: float
    gap: Gap | None
    week: tuple[tuple[int, float, float], ...] = ()

    def after(self, start: datetime) -> tuple[datetime, datetime]:
        """When the next run should have come at the latest, and the moment after which it is missed, in UTC."""
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
        phase = (start - _MONDAY) % _WEEK
        at = bisect_left(self.week, (int(phase // _HOUR) + 1, 0.0, 0.0)) - 1
        _, expected, missed = self.week[at]
        turn = _WEEK if at < 0 else 0.0  # before the first step holds the last one of the week before
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
    """What `as_json` wrote; None where nothing was learned."""
    if stored is None:
        return None
    gap = None if stored["gap"] is None else Gap(*stored["gap"])
    return LearnedSchedule(stored["typical"], gap, tuple(map(tuple, stored["week"])))


def learn_schedule(starts: Iterable[datetime]) -> LearnedSchedule | None:
    """The rhythm that these runs of one job follow; None where none can be told with confidence."""
    times = _since_long_break(_occasions(start.timestamp() for start in starts))
    if len(times) < FEWEST_STARTS or times[-1] - times[0] < _DAY:
        return None
    gaps = sorted(b - a for a, b in pairwise(times))
    longest = _longest_gap(times, gaps)
    often = longest is not None and longest.longest <= 2 * _HOUR
    week = () if often else _week(times)
    return LearnedSchedule(round(gaps[(len(gaps) - 1) // 2]), longest, week) if longest or week else None


def _occasions(starts: Iterable[float]) -> list[float]:
    """In order, and the last of those that follow each other within a quarter of an hour; the newest 2,300."""
    kept: list[float] = []
    for start in sorted(starts, reverse=True):
        if not kept or kept[-1] - start >= _HOUR / 4:
            kept.append(start)
    return kept[_MOST_STARTS - 1 :: -1]


def _since_long_break(times: list[float]) -> list[float]:
    """Without what was before a break of weeks after which the job has kept a rhythm for three weeks."""
    longest = 0.0
    for at in range(len(times) - 1, 0, -1):
        gap = times[at] - times[at - 1]
        if gap > max(_WEEK, 4 * longest) and times[-1] - times[at] >= 3 * _WEEK:
            return times[at:]
        longest = max(longest, gap)
    return times


def _longest_gap(times: Sequence[float], gaps: Sequence[float]) -> Gap | None:
    """The first rule, from starts and the sorted times between them; None where those are of too many kinds."""
    kinds = _kinds(gaps)
    if not _regular([b - a for a, b in pairwise(times)], kinds):
        return None
    longest = gaps[-1]
    alike = next(low for low, high in kinds if low <= max(h for _, h in kinds) <= high)
    enough = min(max(longest, _HOUR), 2 * _HOUR)
    margin = min(max(enough, longest / 10, longest - alike), max(enough, longest / 4))
    if longest < 2 * _DAY and len(_days(times)) < 7:
        longest, margin = _WEEKEND_OFF, 8 * _HOUR
    return Gap(round(longest), round(margin))


def _kinds(gaps: Sequence[float]) -> list[tuple[float, float]]:
    """The few kinds of gap that cover the most, as (shortest, longest): three at most, fewer where runs are few."""
    left, kinds = list(gaps), []
    for fewest in (0, 10, 30):
        if not left or len(gaps) < fewest:
            break
        best, low = (0, 0), 0
        for high, gap in enumerate(left):
            while gap > _ALIKE * left[low]:
                low += 1
            if high + 1 - low > best[1] - best[0]:
                best = (low, high + 1)
        kinds.append((left[best[0]], left[best[1] - 1]))
        del left[best[0] : best[1]]
    return kinds


def _regular(gaps: Sequence[float], kinds: Sequence[tuple[float, float]]) -> bool:
    """Whether nine in ten are of these kinds, all of fewer than ten; a run out of turn parts one into two."""
    odd, parted, at = 0, 0, 0
    while at < len(gaps):
        if not _is_one_of(gaps[at], kinds):
            if at + 1 < len(gaps) and _is_one_of(gaps[at] + gaps[at + 1], kinds):
                parted += 1
                at += 1
            else:
                odd += 1
        at += 1
    return odd <= len(gaps) // 10 and odd + parted <= len(gaps) // 6


def _is_one_of(gap: float, kinds: Sequence[tuple[float, float]]) -> bool:
    return any(high / _ALIKE <= gap <= low * _ALIKE for low, high in kinds)


def _days(times: Sequence[float]) -> set[int]:
    """The days of the week, in UTC, on which it ran."""
    return {int((time - _MONDAY) % _WEEK // _DAY) for time in times}


def _week(times: Sequence[float]) -> tuple[tuple[int, float, float], ...]:
    """The second rule, as the steps of a LearnedSchedule; empty where the weeks are too few or differ too much."""
    hours = sorted({int(((time - _MONDAY - _SAME_OCCASION) % _WEEK) // _HOUR) for time in times})
    exceptions: set[float] = set()
    steps = []
    for hour in hours:
        waits = _waits(times, hour)
        if len(waits) < _FEWEST_WEEKS:
            return ()
        while (odd := _odd_one(waits)) is not None:
            exceptions.add(odd)
            if len(exceptions) > 1 or len(waits) < _WEEKS_FOR_EXCEPTIONS or odd > times[-1] - _WEEK:
                return ()
            del waits[-1]
        longest = waits[-1].wait
        if longest > _WEEK + _DAY:
            return ()
        middle = sorted(wait.later for wait in waits)[len(waits) // 2]
        margin = min(max(2 * _HOUR, 2 * (longest - middle)), max(2 * _HOUR, longest / 4))
        by = (hour + 1) * _HOUR + longest
        steps.append((hour, float(round(by)), float(round(by + margin))))
    return tuple(steps)


class _Wait(NamedTuple):
    """One week's wait for the next run after an hour of the week, and after two hours later; when the run came."""

    wait: float
    later: float
    ended: float


def _waits(times: Sequence[float], hour: int) -> list[_Wait]:
    """Of each past week, the shortest wait first."""
    first = _MONDAY + (hour + 1) * _HOUR
    newest = first + (times[-1] - _SAME_OCCASION - first) // _WEEK * _WEEK
    waits = []
    for week in range(_WEEKS):
        after = newest - week * _WEEK
        if after < times[0]:
            break
        ended = times[bisect_left(times, after + _SAME_OCCASION)]
        later = times[min(bisect_left(times, after + _SAME_OCCASION + 2 * _HOUR), len(times) - 1)]
        waits.append(_Wait(ended - after, later - after, ended))
    return sorted(waits)


def _odd_one(waits: Sequence[_Wait]) -> float | None:
    """When the longest wait ended, where no other week bears it out: two of six weeks must, one of fewer.

    Two hours later, that is, since a run that came a little earlier or later lies on the other side of an hour.
    """
    longest = waits[-1].wait
    bearing = sorted((wait.later for wait in waits[:-1]), reverse=True)
    needed = 2 if len(waits) >= 2 * _FEWEST_WEEKS else 1
    return waits[-1].ended if longest - bearing[needed - 1] > max(2 * _HOUR, longest / 8) else None
