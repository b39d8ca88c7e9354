"""Suggests a registry entry that fits a job's history, with the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.starts import FEWEST_RUNS, SHORTEST_SPAN, gaps_between
from airflow_jobmon.core.suggest.cron_fit import Fit, fit_cron
from airflow_jobmon.core.suggest.zone_fit import evidence_for_zone, fit_zones, is_the_same_anywhere
from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import format_duration, roughly, to_the_second
from airflow_jobmon.errors import ConfigurationError

_MINUTE = timedelta(minutes=1)

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
"""`every` is rounded to a multiple of one of these."""

_RETIRED_AFTER = timedelta(days=7)
_TAIL = timedelta(days=3)
"""Slots without a run count against a schedule for this long after the newest run; later, the job may be broken."""


@dataclass(frozen=True, slots=True)
class History:
    """When the newest runs of one job started (UTC, in order), and how long the successful ones took.

    cut: the job has older runs that are not included.
    """

    job_name: str
    starts: Sequence[datetime]
    durations: Sequence[timedelta] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The entry to register, or None where the history shows no schedule; evidence: the reasons, one per line."""

    job_name: str
    job: MonitoredJob | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Found in the newest `runs`: fields of the entry, the evidence, and the longest usual time between two runs."""

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
    found = _too_little(starts) or _find_schedule(history, zones, min(now, starts[-1] + _TAIL))
    if starts and (retired := _retired(starts, found, now)):
        found = retired
    if isinstance(found, str):
        return Suggestion(name, None, (found,))
    limits, why = _limits(history.durations)
    try:
        job = MonitoredJob.model_validate({"name": name, **found.fields, **limits})
    except ConfigurationError as error:
        return Suggestion(name, None, (f"the registry would refuse it: {error}",))
    evidence = [*found.evidence, *why]
    if history.cut:
        evidence.append("there are older runs; only the newest were examined")
    if found.runs < len(starts):
        evidence.insert(
            1, f"the {len(starts) - found.runs} runs before that do not fit: the job was moved, or ran irregularly"
        )
    if (due := job.due_after(starts[-1])) < now:
        evidence.append(f"will be missed as soon as it is applied: the newest run started {to_the_second(starts[-1])}")
        evidence[-1] += f", and the next one was due by {to_the_second(due)}"
    return Suggestion(name, job, tuple(evidence))


def _too_little(starts: Sequence[datetime]) -> str | None:
    if not starts:
        return "no runs in this period: retired?"
    if len(starts) < FEWEST_RUNS:
        return f"only {counted(len(starts), 'run')}; at least {FEWEST_RUNS} are needed"
    span = starts[-1] - starts[0]
    if span < SHORTEST_SPAN:
        return f"its {counted(len(starts), 'run')} span only {roughly(span)}; at least a day is needed"
    return None


def _retired(starts: Sequence[datetime], found: _Schedule | str, now: datetime) -> str | None:
    usual = found.usual if isinstance(found, _Schedule) else _usual(gaps_between(starts) or [timedelta(0)])
    silent = now - starts[-1]
    if silent <= max(_RETIRED_AFTER, 3 * usual):
        return None
    return f"it has not run for {roughly(silent)}, since {to_the_second(starts[-1])}: retired?"


def _find_schedule(history: History, zones: Sequence[str], until: datetime) -> _Schedule | str:
    """From all runs if they follow one schedule, else from the newest that do; a str says why there is none."""
    starts, every, moved = history.starts, None, None
    size = len(starts)
    while True:
        every = every or _every(starts[-size:])
        fits = fit_zones(starts, size, zones, until, cut=history.cut)
        if fits and fits[0].is_over:
            moved = moved or _moved(fits[0])
        elif fits:
            # A few runs at even intervals look as if they kept to a time of day.
            if every is None or _spread(fits[0].lateness) <= _spread(gaps_between(starts)) + _MINUTE:
                return _by_cron(fits, zones, starts, size, until)
            return every
        if size == FEWEST_RUNS:
            return moved or every or f"{counted(len(starts), 'run')} since {_date(starts)}, at irregular times"
        size = max(size // 2, FEWEST_RUNS)


def _moved(fit: Fit) -> str:
    return (
        f"its newest runs no longer start at {_slot(fit)} as the {fit.kept} before did; "
        f"ask again after {FEWEST_RUNS} runs at the new time"
    )


def _by_cron(
    fits: Sequence[Fit], zones: Sequence[str], starts: Sequence[datetime], shown: int, until: datetime
) -> _Schedule:
    """From the first of these fits to the newest `shown` runs; the other fits are for other zones."""
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
        evidence.append(f"{counted(fit.extra, 'extra run')}, perhaps started by hand")
    if len(zones) > 1 and not is_the_same_anywhere(fit):
        evidence.append(evidence_for_zone(fits, zones, starts[-shown], until))
    return _Schedule(fields, tuple(evidence), _usual(gaps_between(newest)), size)


def _lengthened(fit: Fit, starts: Sequence[datetime], size: int, until: datetime) -> tuple[Fit, int]:
    """The same schedule fitted to as many earlier runs as still keep to it."""
    while size < len(starts):
        more = min(len(starts), ceil(size * 1.2))
        longer = fit_cron(fit.expression, fit.zone, starts[-more:], until)
        if longer is None or not longer.is_good or longer.kept - fit.kept < 0.75 * (more - size):
            break
        fit, size = longer, more
    return fit, size


def _every(starts: Sequence[datetime]) -> _Schedule | None:
    """Runs at even intervals, whatever the time of day."""
    gaps = gaps_between(starts)
    typical = _median(gaps)
    if sum(typical / 2 <= gap <= 1.6 * typical for gap in gaps) < 0.85 * len(gaps):
        return None
    unit = next(unit for unit in _UNITS if typical >= 15 * unit or unit == _UNITS[-1])
    every = max(unit, round(typical / unit) * unit)
    late = max(_p99(gaps) - every, timedelta(0))
    fields = {"every": format_duration(every), "grace": format_duration(_grace(late))}
    intervals = f"{roughly(typical)} apart (median; p99 {roughly(_p99(gaps))})"
    evidence = f"{counted(len(starts), 'run')} since {_date(starts)}, {intervals}, not at fixed times of day"
    return _Schedule(fields, (evidence,), _usual(gaps), len(starts))


def _limits(durations: Sequence[timedelta]) -> tuple[dict[str, str], tuple[str, ...]]:
    """max_duration and timeout, from how long successful runs took."""
    if not durations:
        return {}, ("no successful run has an end time, so timeout and max_duration are the defaults",)
    slow = _sensible(max(_p99(durations) * 1.5, timedelta(seconds=30)))
    stuck = _sensible(max(max(durations) * 3, 15 * _MINUTE, slow))
    took = f"{roughly(_median(durations))} (median; p99 {roughly(_p99(durations))}, longest {roughly(max(durations))})"
    fields = {"timeout": format_duration(stuck), "max_duration": format_duration(slow)}
    return fields, (f"successful runs took {took}",)


def _grace(late: timedelta) -> timedelta:
    return _sensible(max(late * 1.2, 5 * _MINUTE))


def _sensible(value: timedelta) -> timedelta:
    """The next larger figure that a person would write."""
    return next((step for step in _SENSIBLE if step >= value), _SENSIBLE[-1])


def _p99(values: Sequence[timedelta]) -> timedelta:
    """The smallest value that 99 % do not exceed; of fewer than a hundred values, the largest."""
    return sorted(values)[ceil(0.99 * len(values)) - 1]


def _median(values: Sequence[timedelta]) -> timedelta:
    return sorted(values)[len(values) // 2]


def _spread(values: Sequence[timedelta]) -> timedelta:
    """From the 10th to the 90th percentile."""
    ordered = sorted(values)
    return ordered[int(0.9 * (len(ordered) - 1))] - ordered[int(0.1 * len(ordered))]


def _usual(gaps: Sequence[timedelta]) -> timedelta:
    return sorted(gaps)[int(0.95 * (len(gaps) - 1))]


def _slot(fit: Fit) -> str:
    """The slots in words: the time of day, if there is only one."""
    times = read_cron(fit.expression).times
    return f"{times[0] // 60:02}:{times[0] % 60:02} {fit.zone}" if len(times) == 1 else "their slot"


def _date(starts: Sequence[datetime]) -> str:
    return f"{starts[0]:%Y-%m-%d}"
