"""Learns, from the starts of an unregistered job's runs, the time by which its next run must have started.

Two rules are learned, each only where the runs support it; where both apply, the earlier deadline counts:

- *Longest gap.* The next run is expected within the longest gap between two past runs. It is missed a tenth later: at
  least one hour later, two for a job that runs less often than hourly, and later still where its long gaps differ.
  Until the job has been seen on every day of the week, it may rest at night or on weekends, so the gap may last three
  days.
- *Time of the week.* Over the last ten weeks (at least three), the next run came within so many hours after this time
  of the week. It is expected by the latest of those and missed two hours later, or later still where the weeks differ.
  This rule distinguishes a weekday job's Friday from its Tuesday, and a night from a day.

Nothing is learned from fewer than five runs, from less than a day, or from irregular runs. In nine weeks, one exception
such as a missed night is ignored once it is a week old; a newer one may be the start of a new schedule, so for a while
only the first rule applies. All times are in UTC, and the margins allow for the hour by which a clock change moves a
job. A job that stops is missed at the latest after its longest gap, a quarter of that and five hours (three days and
eight hours while it is new).

`core.suggest` reads the same starts as a cron expression in a time zone. The two models stay apart, since they answer
different questions: `suggest` proposes the likeliest schedule for a person to review; a deadline must never be too
early. Tried in place of these rules, the best fit was exact to minutes, but it took a zone for granted before any clock
change had shown it, and accepted missed nights: on sixteen kinds of jobs in two zones it raised 53 false alarms where
these rules raise none, and took sixty times as long (16 ms per job). What they share is in `starts`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from airflow_jobmon.core.schedule.learned import DAY, FIRST_MONDAY, HOUR, WEEK, Gap, LearnedSchedule
from airflow_jobmon.core.schedule.starts import FEWEST_RUNS, SHORTEST_SPAN, gaps_between

_SAME_OCCASION = 1.5 * HOUR
"""A start this soon after a time of the week may be the run that belongs to it: clock changes and jitter move it."""

_WEEKS, _FEWEST_WEEKS, _WEEKS_FOR_EXCEPTIONS = 10, 3, 9
"""Weeks considered, and the fewest. In nine, a pause that comes once a month shows twice, so it is no exception."""

_MOST_STARTS = 2300
"""Only the newest are considered: 24 days of a run every quarter of an hour."""

_ALIKE = 1.5
"""Gaps are of one kind if the longest is at most this many times the shortest."""

_WEEKEND_OFF = 3 * DAY


def learn_schedule(starts: Iterable[datetime]) -> LearnedSchedule | None:
    """The schedule that these runs of one job follow; None where they show none with confidence."""
    times = _since_long_break(_occasions(start.timestamp() for start in starts))
    if len(times) < FEWEST_RUNS or times[-1] - times[0] < SHORTEST_SPAN.total_seconds():
        return None
    gaps = gaps_between(times)
    longest = _longest_gap(times, gaps)
    often = longest is not None and longest.longest <= 2 * HOUR
    week = () if often else _week(times)
    return LearnedSchedule(round(sorted(gaps)[(len(gaps) - 1) // 2]), longest, week) if longest or week else None


def _occasions(starts: Iterable[float]) -> list[float]:
    """In order, without starts that another one follows within a quarter of an hour; the newest 2,300."""
    kept: list[float] = []
    for start in sorted(starts, reverse=True):
        if not kept or kept[-1] - start >= HOUR / 4:
            kept.append(start)
    return kept[_MOST_STARTS - 1 :: -1]


def _since_long_break(times: list[float]) -> list[float]:
    """Without the starts before a break of weeks, once the job has run regularly for three weeks since."""
    longest = 0.0
    for at in range(len(times) - 1, 0, -1):
        gap = times[at] - times[at - 1]
        if gap > max(WEEK, 4 * longest) and times[-1] - times[at] >= 3 * WEEK:
            return times[at:]
        longest = max(longest, gap)
    return times


def _longest_gap(times: Sequence[float], gaps: Sequence[float]) -> Gap | None:
    """The first rule, from starts and the gaps between them; None where those are of too many kinds."""
    kinds = _kinds(gaps)
    if not _regular(gaps, kinds):
        return None
    longest = max(gaps)
    alike = next(low for low, high in kinds if low <= max(h for _, h in kinds) <= high)
    enough = min(max(longest, HOUR), 2 * HOUR)
    margin = min(max(enough, longest / 10, longest - alike), max(enough, longest / 4))
    if longest < 2 * DAY and len(_days(times)) < 7:
        longest, margin = _WEEKEND_OFF, 8 * HOUR
    return Gap(round(longest), round(margin))


def _kinds(gaps: Sequence[float]) -> list[tuple[float, float]]:
    """The kinds that cover the most gaps, as (shortest, longest): at most three, fewer where there are few runs."""
    left, kinds = sorted(gaps), []
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
    """Whether nine in ten are of these kinds (all, if fewer than ten); an extra run splits one gap into two."""
    odd, split, at = 0, 0, 0
    while at < len(gaps):
        if not _is_one_of(gaps[at], kinds):
            if at + 1 < len(gaps) and _is_one_of(gaps[at] + gaps[at + 1], kinds):
                split += 1
                at += 1
            else:
                odd += 1
        at += 1
    return odd <= len(gaps) // 10 and odd + split <= len(gaps) // 6


def _is_one_of(gap: float, kinds: Sequence[tuple[float, float]]) -> bool:
    return any(high / _ALIKE <= gap <= low * _ALIKE for low, high in kinds)


def _days(times: Sequence[float]) -> set[int]:
    """The days of the week, in UTC, on which the job ran."""
    return {int((time - FIRST_MONDAY) % WEEK // DAY) for time in times}


def _week(times: Sequence[float]) -> tuple[tuple[int, float, float], ...]:
    """The second rule, as steps of a LearnedSchedule; empty where there are too few weeks or they differ too much."""
    hours = sorted({int(((time - FIRST_MONDAY - _SAME_OCCASION) % WEEK) // HOUR) for time in times})
    exceptions: set[float] = set()
    steps = []
    for hour in hours:
        waits = _waits(times, hour)
        if len(waits) < _FEWEST_WEEKS:
            return ()
        while (odd := _odd_one(waits)) is not None:
            exceptions.add(odd)
            if len(exceptions) > 1 or len(waits) < _WEEKS_FOR_EXCEPTIONS or odd > times[-1] - WEEK:
                return ()
            del waits[-1]
        longest = waits[-1].wait
        if longest > WEEK + DAY:
            return ()
        middle = sorted(wait.later for wait in waits)[len(waits) // 2]
        margin = min(max(2 * HOUR, 2 * (longest - middle)), max(2 * HOUR, longest / 4))
        by = (hour + 1) * HOUR + longest
        steps.append((hour, float(round(by)), float(round(by + margin))))
    return tuple(steps)


class _Wait(NamedTuple):
    """One week's wait for the next run, from an hour of the week and from two hours later; and when that run came."""

    wait: float
    later: float
    ended: float


def _waits(times: Sequence[float], hour: int) -> list[_Wait]:
    """One for each past week, the shortest wait first."""
    first = FIRST_MONDAY + (hour + 1) * HOUR
    newest = first + (times[-1] - _SAME_OCCASION - first) // WEEK * WEEK
    waits = []
    for week in range(_WEEKS):
        after = newest - week * WEEK
        if after < times[0]:
            break
        ended = times[bisect_left(times, after + _SAME_OCCASION)]
        later = times[min(bisect_left(times, after + _SAME_OCCASION + 2 * HOUR), len(times) - 1)]
        waits.append(_Wait(ended - after, later - after, ended))
    return sorted(waits)


def _odd_one(waits: Sequence[_Wait]) -> float | None:
    """When the longest wait ended, if no other week confirms it: two must, or one of fewer than six weeks.

    The other weeks' waits are those from two hours later, since a run may have come just before or after the hour.
    """
    longest = waits[-1].wait
    confirming = sorted((wait.later for wait in waits[:-1]), reverse=True)
    needed = 2 if len(waits) >= 2 * _FEWEST_WEEKS else 1
    return waits[-1].ended if longest - confirming[needed - 1] > max(2 * HOUR, longest / 8) else None
