"""Moves the rows of one table of the job log in small batches, to avoid blocking writers; skips refused rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import psycopg

from airflow_jobmon.core.times import roughly
from airflow_jobmon.errors import ArchiveProblem
from airflow_jobmon.postgres.archive import BUSY, START, Batch, LogTable, MovableJobs, Place, RowRange, next_place

Connection = psycopg.Connection[Any]
Progress = Callable[[str], None]

PATIENCE = timedelta(minutes=1)
"""How long to wait for a locked table."""

MOST_REFUSED = 100
"""After this many refused rows in a row, give up: the database refuses all of them."""

_REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    psycopg.errors.ProgramLimitExceeded,
)
"""Errors that refuse a single row: a value that the archive cannot hold, a constraint, a trigger of the user's. psycopg
reports a user-defined error code as a plain DatabaseError."""

_FEW = 5_000
"""A slow batch of at most this many rows does not shorten the next stretch: a shorter one would take as long."""

_BLOCKS = 64
_MOST_BLOCKS = 16_384


@dataclass(frozen=True, slots=True)
class BatchPace:
    """Rows of the first batch, maximum rows of a batch, and the target duration of a batch in seconds."""

    first: int
    most: int
    seconds: float


class Mover(Protocol):
    """Moves up to `most` rows from the start of a range and commits; or raises and moves none."""

    @property
    def pace(self) -> BatchPace: ...
    def move(self, row_range: RowRange, most: int) -> Batch: ...


class TableBatches:
    """The batches of one table, up to the last block it has now; `refused` counts skipped rows by reason."""

    def __init__(
        self,
        conn: Connection,
        mover: Mover,
        table: LogTable,
        jobs: MovableJobs,
        *,
        refused: Counter[str],
        progress: Progress,
    ) -> None:
        self._conn, self._mover = conn, mover
        self._table, self._jobs = table, jobs
        self._refused, self._progress = refused, progress
        self._place: Place = START
        self._rows, self._blocks = mover.pace.first, _BLOCKS
        self._refused_in_a_row = 0

    @property
    def blocks_done(self) -> int:
        return min(self._place[0], self._table.blocks)

    def batches(self) -> Iterator[Batch]:
        """Yield each committed batch."""
        while self._place[0] < self._table.blocks:
            past = (min(self._place[0] + self._blocks, self._table.blocks), 0)
            row_range = RowRange(self._table, self._jobs, self._place, past)
            began = time.monotonic()
            try:
                batch = self._move_with_retries(row_range)
            except psycopg.DatabaseError as error:
                if not (isinstance(error, _REFUSALS) or type(error) is psycopg.DatabaseError):
                    raise
                self._skip_refused_row(error, row_range)
                continue
            self._advance(batch, row_range, time.monotonic() - began)
            yield batch

    def _move_with_retries(self, row_range: RowRange) -> Batch:
        pause, deadline = 0.1, time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                return self._mover.move(row_range, self._rows)
            except BUSY as error:
                if time.monotonic() + pause > deadline:
                    raise ArchiveProblem(
                        f"{self._table.relation} was locked for {roughly(PATIENCE)} ({error.diag.message_primary}); "
                        "the runs moved so far are archived, and the next call continues from there"
                    ) from None
                self._progress(f"{self._table.relation} is locked; retrying in {pause:.1f} s")
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _advance(self, batch: Batch, row_range: RowRange, seconds: float) -> None:
        kept = batch.picked - sum(batch.moved.values())
        if kept:
            self._refused["a trigger of the table kept them"] += kept
        if batch.moved:
            self._refused_in_a_row = 0
        pace = min(max(self._mover.pace.seconds / max(seconds, 0.001), 0.5), 2.0)
        if batch.last is not None and batch.picked >= self._rows:
            self._blocks = max(batch.last[0] - self._place[0] + 1, 1)
            self._place = batch.last
        else:
            self._place = row_range.past
            if pace > 1 or batch.picked > _FEW:
                self._blocks = min(max(int(self._blocks * pace), 1), _MOST_BLOCKS)
        self._rows = min(max(int(self._rows * pace), 1), self._mover.pace.most)

    def _skip_refused_row(self, error: psycopg.Error, row_range: RowRange) -> None:
        """Shrink the batch until the refused row is alone in it; then count the row and skip it."""
        if self._rows > 1:
            self._rows = max(self._rows // 20, 1)
            return
        self._place = next_place(self._conn, row_range) or row_range.past
        reason = (error.diag.message_primary or str(error))[:300]
        self._refused[reason] += 1
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= MOST_REFUSED:
            raise ArchiveProblem(
                f"{MOST_REFUSED} runs in a row could not leave {self._table.relation}: {reason}; "
                "the runs moved so far are archived, the others stay in the job log"
            ) from None
        self._rows = 2
