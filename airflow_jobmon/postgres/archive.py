"""What moves runs out of the job log, one short transaction at a time, and what may be moved at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure

from airflow_jobmon.postgres.pipeline import NOT_DURABLE, transaction
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]

BUSY = (LockNotAvailable, DeadlockDetected, SerializationFailure)
"""What a batch ends with when somebody is in its way; it may be tried again."""

START = (0, 0)
"""Before the first row of any table."""

Place = tuple[int, int]
"""Where a row stands in its table: block, and number in it."""


@dataclass(frozen=True, slots=True)
class Due:
    """How many jobs have runs to move; their names, and from when on runs of each stay, as Postgres writes arrays."""

    count: int
    job_names: str
    befores: str

    @property
    def parameters(self) -> dict[str, Any]:
        return {"job_names": self.job_names, "befores": self.befores}


@dataclass(frozen=True, slots=True)
class LogTable:
    """A table that holds rows of the log: the log itself, or a part of it. `blocks` is its size when it was asked."""

    relation: str
    blocks: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one table, after `first` and before `past`, and the jobs whose rows are meant."""

    table: LogTable
    jobs: Due
    first: Place
    past: Place

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            **self.jobs.parameters,
            "relation": self.table.relation,
            "first": "({},{})".format(*self.first),
            "past": "({},{})".format(*self.past),
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction did: rows picked, the place of the last one (None: there was none), moved ones by job."""

    picked: int
    last: Place | None
    moved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Movable:
    """What would be moved of one job, and when the first and last of it started."""

    job_name: str
    runs: int
    oldest: datetime
    newest: datetime


def due(conn: Connection, before: datetime, job: str | None = None) -> Due:
    """Which jobs (or only `job`) have runs that started before `before`, and from when on each must be left alone.

    What a job is judged by stays: its newest success and all that came after it, failures in a row, and whatever an
    open incident counts. As jobs go on running the moment only grows later, so it may be used for as long as it takes.
    """
    row = conn.execute(load_queries("archive")["due"], {"before": before, "job": job}).fetchone()
    assert row is not None  # noqa: S101 - one row, always
    return Due(*row)


def tables(conn: Connection) -> list[LogTable]:
    return [LogTable(*row) for row in conn.execute(load_queries("archive")["tables"])]


def foreign_parts(conn: Connection) -> list[str]:
    """Partitions on another server, which cannot be archived."""
    return [name for (name,) in conn.execute(load_queries("archive")["foreign_parts"])]


def move(conn: Connection, stretch: Stretch, most: int) -> Batch:
    """Move up to `most` rows of a stretch, from its beginning, into the archive: one transaction."""
    given = {**stretch.parameters, "most": most}
    # Whether the disk has it already does not matter: a row is here or there, and a crash cannot part the two.
    with transaction(conn, NOT_DURABLE):
        asked = conn.execute(load_queries("archive")["move"], given)
    row = asked.fetchone()
    assert row is not None  # noqa: S101 - one row, always
    picked, last, moved = row
    return Batch(picked, _place(last) if last else None, moved)


def next_place(conn: Connection, stretch: Stretch) -> Place | None:
    """Where the first row of a stretch stands that `move` would move."""
    row = conn.execute(load_queries("archive")["next_place"], stretch.parameters).fetchone()
    return _place(row[0]) if row and row[0] else None


def count(conn: Connection, table: LogTable, jobs: Due) -> list[Movable]:
    """What of one table would be moved now, by job; reads it all."""
    given = {**jobs.parameters, "relation": table.relation}
    return [Movable(*row) for row in conn.execute(load_queries("archive")["count"], given)]


def staying(conn: Connection, jobs: Due, before: datetime) -> dict[str, int]:
    """How many older runs of these jobs stay, by the reason; reads all that is older."""
    rows = conn.execute(load_queries("archive")["stay"], {**jobs.parameters, "before": before}).fetchall()
    return dict(rows)


def _place(tid: str) -> Place:
    block, _, number = tid.strip("()").partition(",")
    return int(block), int(number)
