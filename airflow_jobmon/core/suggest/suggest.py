"""A registry entry learned from a job's history, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.suggest.cron_fit import Fit, fit_cron
from airflow_jobmon.core.suggest.zone_fit import fit_zones, is_the_same_anywhere, what_tells_the_zone
from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import format_duration, roughly, to_the_second
from airflow_jobmon.errors import ConfigurationError

FEWEST_RUNS = 5

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)

_SENSIBLE = [
    *(timedelta(seconds=seconds) for seconds in (10, 20, 30, 45)),
    *(timedelta(minutes=minutes) for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90)),
    *(timedelta(hours=hours) for hours in (2, 3, 4, 6, 8, 12, 18)),
    *(timedelta(days=days) for days in (1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365)),
]

_UNITS = [
    timedelta(minutes=15),
    timedelta(minutes=5),
    timedelta(minutes=1),
    timedelta(seconds=10),
    timedelta(seconds=1),
]
"""Of which `every` is a multiple: no finer than makes a difference."""

_RETIRED_AFTER = timedelta(days=7)
_TAIL = timedelta(days=3)
"""How long after the newest run its absence still says something of the schedule, and not of a job that is broken."""


@dataclass(frozen=True, slots=True)
class History:
    """When the newest runs of one job started (UTC, in order), and how long those took that succeeded.

    cut: it has more runs than these.
    """

    job_name: str
    starts: Sequence[datetime]
    durations: Sequence[timedelta] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to register, or None where the history shows no rhythm; evidence: why, in lines of words."""

    job_name: str
    job: MonitoredJob | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """What was told from the newest `runs`: fields of the entry, why, and the longest usual time between two runs."""

    fields: dict[str, str]
    evidence: tuple[str, ...]
    usual: timedelta
    runs: int


def suggest(history: History, zones: Sequence[str], *, now: datetime) -> Suggestion:
    """An entry that fits this history, or the reason why none does.

    `zones` are candidates for the schedule's zone, the likeliest first: of those that explain the starts equally well,
    the first is taken, and the evidence says so.
    """
    name, starts = history.job_name, history.starts
    rhythm = _too_little(starts) or _rhythm(history, zones, min(now, starts[-1] + _TAIL))
    if starts and (over := _over(starts, rhythm, now)):
        rhythm = over
    if isinstance(rhythm, str):
        return Suggestion(name, None, (rhythm,))
    limits, why = _limits(history.durations)
    try:
        job = MonitoredJob.model_validate({"name": name, **rhythm.fields, **limits})
    except ConfigurationError as error:
        return Suggestion(name, None, (f"no registry takes it: {error}",))
    evidence = [*rhythm.evidence, *why]
    if history.cut:
        evidence.append("it ran before these too; only its newest runs were looked at")
    if rhythm.runs < len(starts):
        evidence.insert(
            1, f"the {len(starts) - rhythm.runs} runs before that do not fit: it was moved, or was irregular"
        )
    if (due := job.due_after(starts[-1])) < now:
        evidence.append(f"missed once it is applied: the newest run started {to_the_second(starts[-1])}")
        evidence[-1] += f", and the next was due by {to_the_second(due)}"
    return Suggestion(name, job, tuple(evidence))


def _too_little(starts: Sequence[datetime]) -> str | None:
    if not starts:
        return "no run in the time looked at: retired?"
    if len(starts) < FEWEST_RUNS:
        return f"{counted(len(starts), 'run')} only; a rhythm takes {FEWEST_RUNS}"
    span = starts[-1] - starts[0]
    return f"its {counted(len(starts), 'run')} span {roughly(span)} only; a rhythm takes a day" if span < _DAY else None


def _over(starts: Sequence[datetime], rhythm: _Rhythm | str, now: datetime) -> str | None:
    usual = rhythm.usual if isinstance(rhythm, _Rhythm) else _usual(_gaps(starts) or [timedelta(0)])
    silent = now - starts[-1]
    if silent <= max(_RETIRED_AFTER, 3 * usual):
        return None
    return f"it has not run for {roughly(silent)}, since {to_the_second(starts[-1])}: retired?"


def _rhythm(history: History, zones: Sequence[str], until: datetime) -> _Rhythm | str:
    """From all runs if they follow one rhythm, else from as many of the newest as do; in words, why there is none."""
    starts, every, moved = history.starts, None, None
    size = len(starts)
    while True:
        every = every or _every(starts[-size:])
        fits = fit_zones(starts, size, zones, until, cut=history.cut)
        if fits and fits[0].is_over:
            moved = moved or _moved(fits[0])
        elif fits:
            # Runs that keep to each other and not to the clock seem to keep to the clock over a few of them.
            if every is None or _spread(fits[0].lateness) <= _spread(_gaps(starts)) + _MINUTE:
                return _by_cron(fits, zones, starts, size, until)
            return every
        if size == FEWEST_RUNS:
            return moved or every or f"{counted(len(starts), 'run')} since {_date(starts)}, and no rhythm in them"
        size = max(size // 2, FEWEST_RUNS)


def _moved(fit: Fit) -> str:
    return (
        f"its newest runs do not come at {_slot(fit)} any more as the {fit.kept} before did; "
        f"ask again when it has run {FEWEST_RUNS} times at its new time"
    )


def _by_cron(
    fits: Sequence[Fit], zones: Sequence[str], starts: Sequence[datetime], shown: int, until: datetime
) -> _Rhythm:
    """What the first of these fits to the newest `shown` runs says; the others are of other zones."""
    fit, size = _lengthened(fits[0], starts, shown, until)
    newest = starts[-size:]
    late = _p99(fit.lateness)
    fields = {"schedule": fit.expression, "timezone": fit.zone, "grace": format_duration(_grace(late))}
    if fit.zone == "UTC":
        del fields["timezone"]
    most = max(abs(lateness) for lateness in fit.lateness)
    near = f"{fit.kept} within {roughly(_sensible(most))} of {_slot(fit)}"
    evidence = [f"{counted(size, 'run')} since {_date(newest)}, {near}; p99 lateness {roughly(late)}"]
    if fit.missed:
        evidence.append(f"{fit.missed} of {fit.kept + fit.missed} slots had no run")
    if fit.extra:
        evidence.append(f"{counted(fit.extra, 'run')} came out of turn, by hand perhaps")
    if len(zones) > 1 and not is_the_same_anywhere(fit):
        evidence.append(what_tells_the_zone(fits, zones, starts[-shown], until))
    return _Rhythm(fields, tuple(evidence), _usual(_gaps(newest)), size)


def _lengthened(fit: Fit, starts: Sequence[datetime], size: int, until: datetime) -> tuple[Fit, int]:
    """The same schedule held against as many more of the runs before as still keep to it."""
    while size < len(starts):
        more = min(len(starts), ceil(size * 1.2))
        longer = fit_cron(fit.expression, fit.zone, starts[-more:], until)
        if longer is None or not longer.is_good or longer.kept - fit.kept < 0.75 * (more - size):
            break
        fit, size = longer, more
    return fit, size


def _every(starts: Sequence[datetime]) -> _Rhythm | None:
    """Runs that follow each other evenly, whatever the clock shows."""
    gaps = _gaps(starts)
    typical = _median(gaps)
    if sum(typical / 2 <= gap <= 1.6 * typical for gap in gaps) < 0.85 * len(gaps):
        return None
    unit = next(unit for unit in _UNITS if typical >= 15 * unit or unit == _UNITS[-1])
    every = max(unit, round(typical / unit) * unit)
    late = max(_p99(gaps) - every, timedelta(0))
    fields = {"every": format_duration(every), "grace": format_duration(_grace(late))}
    apart = f"{roughly(typical)} apart (median), {roughly(_p99(gaps))} (p99)"
    evidence = f"{counted(len(starts), 'run')} since {_date(starts)}, {apart}, and at no time of day"
    return _Rhythm(fields, (evidence,), _usual(gaps), len(starts))


def _limits(durations: Sequence[timedelta]) -> tuple[dict[str, str], tuple[str, ...]]:
    """max_duration and timeout, by how long successes took."""
    if not durations:
        return {}, ("no success has an end, so timeout and max_duration are the defaults",)
    slow = _sensible(max(_p99(durations) * 1.5, timedelta(seconds=30)))
    stuck = _sensible(max(max(durations) * 3, 15 * _MINUTE, slow))
    said = f"successes took {roughly(_median(durations))} (median), {roughly(_p99(durations))} (p99), "
    return (
        {"timeout": format_duration(stuck), "max_duration": format_duration(slow)},
        (f"{said}{roughly(max(durations))} at most",),
    )


def _grace(late: timedelta) -> timedelta:
    return _sensible(max(late * 1.2, 5 * _MINUTE))


def _sensible(value: timedelta) -> timedelta:
    """The next figure up that a person would write."""
    return next((step for step in _SENSIBLE if step >= value), _SENSIBLE[-1])


def _p99(values: Sequence[timedelta]) -> timedelta:
    """The smallest that 99 in 100 do not exceed: of fewer than a hundred, the largest."""
    return sorted(values)[ceil(0.99 * len(values)) - 1]


def _median(values: Sequence[timedelta]) -> timedelta:
    return sorted(values)[len(values) // 2]


def _spread(values: Sequence[timedelta]) -> timedelta:
    """From the tenth to the ninetieth in a hundred."""
    ordered = sorted(values)
    return ordered[int(0.9 * (len(ordered) - 1))] - ordered[int(0.1 * len(ordered))]


def _usual(gaps: Sequence[timedelta]) -> timedelta:
    return sorted(gaps)[int(0.95 * (len(gaps) - 1))]


def _gaps(starts: Sequence[datetime]) -> list[timedelta]:
    return [later - sooner for sooner, later in pairwise(starts)]


def _slot(fit: Fit) -> str:
    """What runs were late for: the time of day, where there is one."""
    times = read_cron(fit.expression).times
    return f"{times[0] // 60:02}:{times[0] % 60:02} {fit.zone}" if len(times) == 1 else "their slot"


def _date(starts: Sequence[datetime]) -> str:
    return f"{starts[0]:%Y-%m-%d}"
