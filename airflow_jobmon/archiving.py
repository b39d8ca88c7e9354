"""Archives old runs: moves them out of the job log in short transactions, each row in exactly one place at any time.

What is moved is decided row by row, so nothing has to be remembered: whoever is killed begins again, and any number may
work at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from airflow_jobmon.core.times import format_duration, iso, parse_duration, roughly, to_the_second
from airflow_jobmon.errors import ArchiveProblem, ConfigurationError, UnknownJob
from airflow_jobmon.postgres import archive as log_rows
from airflow_jobmon.postgres.archive import BUSY, START, Batch, Due, LogTable, Place, Stretch
from airflow_jobmon.postgres.facts import known_names

Connection = psycopg.Connection[Any]
Progress = Callable[[str], None]

YOUNGEST = timedelta(days=1)
"""Nothing younger is archived, whatever is asked for: it is news."""

PATIENCE = timedelta(minutes=1)
"""How long a table that somebody has locked is waited for."""

MOST_ROWS, FIRST_ROWS = 20_000, 2_000
BATCH_SECONDS = 0.25
"""What a transaction takes at most, about: batches grow and shrink towards it."""

MOST_REFUSED = 100
"""Rows in a row that the database would not let go, until it is taken to mean all of them."""

_REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    psycopg.errors.ProgramLimitExceeded,
)
"""What one row may be refused with: a value that the archive cannot hold, a constraint, a trigger of the user's. An
error code that somebody made up is unknown to psycopg and comes as a plain DatabaseError."""

_BLOCKS = 64
_MOST_BLOCKS = 16_384
_TELL_EVERY = 2.0


@dataclass(slots=True)
class ArchiveReport:
    """What was moved, or in a dry run would be.

    jobs: runs by job. stay: older runs that stay, by the reason; in a dry run only. refused: rows that the database
    would not let go, by what it said. Times are aware, in UTC.
    """

    before: datetime
    job_name: str | None = None
    dry_run: bool = False
    to: str | None = None
    jobs: Counter[str] = field(default_factory=Counter)
    stay: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        return self.jobs.total()

    @property
    def summary(self) -> str:
        """One line for people."""
        would = "would be archived" if self.dry_run else f"archived in {roughly(timedelta(seconds=self.seconds))}"
        counted = f"{self.runs:,} {'run' if self.runs == 1 else 'runs'}"
        return f"{counted} from before {to_the_second(self.before)} {would}"

    def as_json(self, *, most_jobs: int | None = None) -> dict[str, Any]:
        """JSON-native; with `most_jobs` only those with the most runs are listed."""
        return {
            "before": iso(self.before),
            "job_name": self.job_name,
            "dry_run": self.dry_run,
            "to": self.to,
            "runs": self.runs,
            "job_count": len(self.jobs),
            "jobs": dict(self.jobs.most_common(most_jobs)),
            "stay": self.stay,
            "refused": dict(self.refused),
            "seconds": round(self.seconds, 3),
        }


def cutoff(older_than: timedelta | str, now: datetime) -> datetime:
    """The moment that divides old runs from others; raises ConfigurationError for an age that is none or too young."""
    age = parse_duration(older_than) if isinstance(older_than, str) else older_than
    if not isinstance(age, timedelta):
        raise ConfigurationError(f"older_than={age!r:.60} is no duration; give a timedelta, or text like 90d")
    if age < YOUNGEST:
        raise ConfigurationError(
            f"runs older than {format_duration(age)} cannot be archived, since younger ones than "
            f"{format_duration(YOUNGEST)} are still watched; give {format_duration(YOUNGEST)} or more, like 90d"
        )
    try:
        return now - age
    except OverflowError:
        raise ConfigurationError(f"no run is older than {format_duration(age)}; give less, like 90d") from None


def archive_runs(
    conn: Connection,
    older_than: timedelta | str,
    *,
    job: str | None = None,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> ArchiveReport:
    """Move runs that started longer ago than `older_than` to jobs_log_archive; `dry_run` only counts them.

    Never one that is still running, that a job is judged by, that an open incident counts, or that another table
    refers to. Raises ConfigurationError, UnknownJob, and ArchiveProblem where the database lets nothing go.
    """
    began = time.monotonic()
    report = ArchiveReport(cutoff(older_than, datetime.now(UTC)), job, dry_run)
    try:
        _archive(conn, report, progress)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ArchiveProblem(
            f"role {conn.info.user!r} has not the rights to archive: {error.diag.message_primary}; archive as the "
            "owner of the job log, or grant that role jobmon_operator, and SELECT, UPDATE and DELETE on the job log "
            "and its partitions"
        ) from None
    report.seconds = time.monotonic() - began
    return report


def _archive(conn: Connection, report: ArchiveReport, progress: Progress) -> None:
    job = report.job_name
    if job is not None and not known_names(conn, [job]):
        raise UnknownJob(f"job {job[:100]!r} has no run in the job log; check the name, which must match exactly")
    jobs = log_rows.due(conn, report.before, job)
    for name in log_rows.foreign_parts(conn):
        progress(f"{name} is on another server; what it holds is left there")
    if report.dry_run:
        for table in log_rows.tables(conn):
            for found in log_rows.count(conn, table, jobs):
                report.jobs[found.job_name] += found.runs
        report.stay = _staying(conn, jobs, report)
    else:
        _move_all(conn, jobs, report, progress)


def _staying(conn: Connection, jobs: Due, report: ArchiveReport) -> dict[str, int]:
    """By reason; what would move has none of its own, so it is among those that nothing else holds."""
    stay = log_rows.staying(conn, jobs, report.before)
    movable = stay.pop("", 0) - report.runs
    if movable > 0:
        stay["referred to by another table, or not this role's to move"] = movable
    return stay


def _move_all(conn: Connection, jobs: Due, report: ArchiveReport, progress: Progress) -> None:
    if not jobs.job_names:
        return
    said = time.monotonic()
    tables = log_rows.tables(conn)
    done_blocks, all_blocks = 0, max(sum(table.blocks for table in tables), 1)
    for table in tables:
        walk = _Walk(conn, table, jobs, report, progress)
        for batch, place in walk.batches():
            report.jobs.update(batch.moved)
            if time.monotonic() - said >= _TELL_EVERY:
                said = time.monotonic()
                share = 100 * (done_blocks + min(place[0], table.blocks)) // all_blocks
                progress(f"{report.runs:,} runs moved, {share} % of the log looked at")
        done_blocks += table.blocks


class _Walk:
    """Goes through one table, from its first block to the last it had when asked, and moves what may go."""

    def __init__(self, conn: Connection, table: LogTable, jobs: Due, report: ArchiveReport, progress: Progress) -> None:
        self._conn, self._table, self._jobs = conn, table, jobs
        self._report, self._progress = report, progress
        self._place: Place = START
        self._rows, self._blocks = FIRST_ROWS, _BLOCKS
        self._refused_in_a_row = 0

    def batches(self) -> Iterator[tuple[Batch, Place]]:
        """Each batch that was committed, and up to where the table is done."""
        while self._place[0] < self._table.blocks:
            batch = self._batch()
            if batch is not None:
                yield batch, self._place

    def _batch(self) -> Batch | None:
        """One transaction, and where the next begins; None if the database refused it."""
        past = (min(self._place[0] + self._blocks, self._table.blocks), 0)
        stretch = Stretch(self._table, self._jobs, self._place, past)
        began = time.monotonic()
        try:
            batch = self._patiently(stretch)
        except psycopg.DatabaseError as error:
            if not (isinstance(error, _REFUSALS) or type(error) is psycopg.DatabaseError):
                raise
            self._refused(error, stretch)
            return None
        suppressed = batch.picked - sum(batch.moved.values())
        if suppressed:
            self._report.refused["a trigger of the table kept them"] += suppressed
        self._go_on(batch, stretch.past, time.monotonic() - began)
        return batch

    def _patiently(self, stretch: Stretch) -> Batch:
        pause, deadline = 0.1, time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                return log_rows.move(self._conn, stretch, self._rows)
            except BUSY as error:
                if time.monotonic() + pause > deadline:
                    raise ArchiveProblem(
                        f"{self._table.relation} was locked for {roughly(PATIENCE)} ({error.diag.message_primary}); "
                        f"{self._report.runs} runs are archived, and the next call goes on from here"
                    ) from None
                self._progress(f"{self._table.relation} is locked; trying again in {pause:.1f} s")
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _go_on(self, batch: Batch, past: Place, seconds: float) -> None:
        if batch.moved:
            self._refused_in_a_row = 0
        pace = min(max(BATCH_SECONDS / max(seconds, 0.001), 0.5), 2.0)
        if batch.last is not None and batch.picked >= self._rows:
            self._blocks = max(batch.last[0] - self._place[0] + 1, 1)
            self._place = batch.last
        else:
            self._place = past
            self._blocks = min(max(int(self._blocks * pace), 1), _MOST_BLOCKS)
        self._rows = min(max(int(self._rows * pace), 1), MOST_ROWS)

    def _refused(self, error: psycopg.Error, stretch: Stretch) -> None:
        """Fewer at once, until the one that is not let go stands alone; it is passed over and told."""
        if self._rows > 1:
            self._rows = max(self._rows // 20, 1)
            return
        found = log_rows.next_place(self._conn, stretch)
        self._place = found or stretch.past
        reason = error.diag.message_primary or str(error)
        self._report.refused[reason[:300]] += 1
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= MOST_REFUSED:
            raise ArchiveProblem(
                f"{MOST_REFUSED} runs in a row could not leave {self._table.relation}: {reason[:300]}; "
                f"{self._report.runs} are archived, the others stay where they are"
            ) from None
        self._rows = 2
