"""Finds the successes of a job that have not been announced yet.

Runs do not become visible in the order of their ids or end times. So the announced successes are stored as a set of
runs among the job's newest, not as a point in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.times import iso

WINDOW = 100
"""How many of a job's newest runs are read; more successes at once are one announcement anyway."""

_LONGEST_RUN = timedelta(days=1)
"""A success that started longer than this before the newest announced one was loaded later, and is not announced."""


@dataclass(frozen=True, slots=True)
class SuccessLookup:
    """A job, the start to look from, and the fingerprint of the previous lookup (None: there was none)."""

    job_name: str
    floor: datetime | None
    fingerprint: int | None


@dataclass(frozen=True, slots=True)
class RecentSuccesses:
    """The successes among a job's newest `WINDOW` runs, newest first.

    `oldest_start` is where a full window ends: runs that started before it were not read.
    """

    successes: Sequence[Run]
    oldest_start: datetime | None = None


@dataclass(frozen=True, slots=True)
class SuccessMark:
    """What was announced: the keys of runs, and the start before which no run is announced any more."""

    announced: frozenset[str] = frozenset()
    floor: datetime | None = None


def new_successes(recent: RecentSuccesses, mark: SuccessMark) -> list[Run]:
    """The successes that were not announced yet, newest first."""
    return [
        run
        for run in recent.successes
        if run_key(run) not in mark.announced and (mark.floor is None or run.started_at >= mark.floor)
    ]


def advanced(mark: SuccessMark, recent: RecentSuccesses) -> SuccessMark:
    """The mark once all of `recent` was announced; its floor never goes back."""
    floors = [floor for floor in (mark.floor, recent.oldest_start) if floor is not None]
    if recent.successes:
        floors.append(max(run.started_at for run in recent.successes) - _LONGEST_RUN)
    return SuccessMark(frozenset(map(run_key, recent.successes)), max(floors, default=None))


def run_key(run: Run) -> str:
    """Includes the start, since ids may be reused once a log is truncated."""
    return f"{run.id}@{iso(run.started_at)}"
