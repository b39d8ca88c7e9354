"""Finds the runs that may be archived, and moves them out of the job log, one short transaction at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure
from psycopg.rows import class_row, dict_row

from airflow_jobmon.postgres.pipeline import NOT_DURABLE, transaction
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]

BUSY = (LockNotAvailable, DeadlockDetected, SerializationFailure)
"""What a batch raises if another session locks its rows or tables; it may be tried again."""

START = (0, 0)
"""Before the first row of any table."""

Place = tuple[int, int]
"""The place of a row in its table: the block, and its number in it."""


@dataclass(frozen=True, slots=True)
class MovableJobs:
    """The jobs with runs to move: their number, their names, and when the runs of each begin to stay, as SQL arrays."""

    count: int
    job_names: str
    befores: str

    @property
    def parameters(self) -> dict[str, Any]:
        return {"job_names": self.job_names, "befores": self.befores}


@dataclass(frozen=True, slots=True)
class LogTable:
    """A table that holds rows of the log: the log itself, or a partition. blocks: its size when it was read."""

    relation: str
    blocks: int


@dataclass(frozen=True, slots=True)
class RowRange:
    """The rows of some jobs in one table, between the places `first` and `past`."""

    table: LogTable
    jobs: MovableJobs
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
    """What one transaction did: the rows it picked, the place of the last (None: none), and those moved, by job."""

    picked: int
    last: Place | None
    moved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MovableRuns:
    """The runs of one job that would be moved, and when the first and the last of them started."""

    job_name: str
    runs: int
    oldest: datetime
    newest: datetime


def movable_jobs(conn: Connection, before: datetime, job: str | None = None) -> MovableJobs:
    """The jobs (or only `job`) with runs that started before `before`, and the time from which the runs of each stay.

    The runs that decide a job's health stay: its newest success and all after it, its failures in a row, and those that
    an open incident counts. New runs only move that time forward, so the answer holds for as long as archiving takes.
    """
    with conn.cursor(row_factory=class_row(MovableJobs)) as cursor:
        jobs = cursor.execute(load_queries("archive")["movable_jobs"], {"before": before, "job": job}).fetchone()
    assert jobs is not None  # noqa: S101 - an aggregate is one row, always
    return jobs


def tables(conn: Connection) -> list[LogTable]:
    with conn.cursor(row_factory=class_row(LogTable)) as cursor:
        return cursor.execute(load_queries("archive")["tables"]).fetchall()


def foreign_parts(conn: Connection) -> list[str]:
    """Partitions on another server, which cannot be archived."""
    return [name for (name,) in conn.execute(load_queries("archive")["foreign_parts"])]


def move(conn: Connection, row_range: RowRange, most: int) -> Batch:
    """Move up to `most` rows of this range, from its beginning, into the archive, in one transaction."""
    given = {**row_range.parameters, "most": most}
    cursor = conn.cursor(row_factory=dict_row)
    # Need not wait for the disk: a crash leaves each row either in the log or in the archive, never in both.
    with transaction(conn, NOT_DURABLE):
        cursor.execute(load_queries("archive")["move"], given)
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - the function returns one row, always
    return Batch(row["picked"], read_place(row["last"]) if row["last"] else None, row["moved"])


def next_place(conn: Connection, row_range: RowRange) -> Place | None:
    """The place of the first row in this range that `move` would move."""
    row = conn.execute(load_queries("archive")["next_place"], row_range.parameters).fetchone()
    return read_place(row[0]) if row and row[0] else None


def count(conn: Connection, table: LogTable, jobs: MovableJobs) -> list[MovableRuns]:
    """The runs of one table that would be moved now, by job; reads the whole table."""
    given = {**jobs.parameters, "relation": table.relation}
    with conn.cursor(row_factory=class_row(MovableRuns)) as cursor:
        return cursor.execute(load_queries("archive")["count"], given).fetchall()


def staying(conn: Connection, jobs: MovableJobs, before: datetime) -> dict[str, int]:
    """How many older runs of these jobs stay, by reason; reads every older run."""
    rows = conn.execute(load_queries("archive")["staying"], {**jobs.parameters, "before": before}).fetchall()
    return dict(rows)


def read_place(tid: str) -> Place:
    """A ctid as Postgres writes it, `(block,number)`."""
    block, _, number = tid.strip("()").partition(",")
    return int(block), int(number)
