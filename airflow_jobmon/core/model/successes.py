"""Which successes of a job are news, given what has been announced of it.

Neither ids nor end times come in the order in which runs become visible, so what was announced is a set of runs, not a
point in time: the successes among the job's newest runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.times import iso

WINDOW = 100
"""How many of a job's newest runs are looked at; more successes at once are one announcement anyway."""

_LONGEST_RUN = timedelta(days=1)
"""A success that started this long before the newest announced one is history being loaded, not news."""


@dataclass(frozen=True, slots=True)
class SuccessLookup:
    """A job, the start to look from, and the fingerprint of the previous lookup (None: there was none)."""

    job_name: str
    floor: datetime | None
    fingerprint: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The successes among a job's newest `WINDOW` runs, newest first.

    `oldest_start` is where the window ends when it was full: what started before was not looked at.
    """

    successes: Sequence[Run]
    oldest_start: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What has been announced: runs by key, and the start before which nothing is news any more."""

    announced: frozenset[str] = frozenset()
    floor: datetime | None = None


def news(seen: Seen, mark: Mark) -> list[Run]:
    """The successes that have not been announced, newest first."""
    return [
        run
        for run in seen.successes
        if run_key(run) not in mark.announced and (mark.floor is None or run.started_at >= mark.floor)
    ]


def moved(mark: Mark, seen: Seen) -> Mark:
    """The mark once all of `seen` has been announced; its floor never goes back."""
    floors = [floor for floor in (mark.floor, seen.oldest_start) if floor is not None]
    if seen.successes:
        floors.append(max(run.started_at for run in seen.successes) - _LONGEST_RUN)
    return Mark(frozenset(map(run_key, seen.successes)), max(floors, default=None))


def run_key(run: Run) -> str:
    """Ids may be reused when a log is truncated, so the start belongs to it."""
    return f"{run.id}@{iso(run.started_at)}"
