"""Archives old runs: moves them out of the job log in short transactions; each row is always in exactly one place.

Each row is decided on its own, so there is no state to keep: archiving may be killed and started again at any time, and
any number of processes may archive at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from airflow_jobmon.archive.batches import BatchPace, Mover, TableBatches
from airflow_jobmon.archive.export import Exporter, finish_interrupted
from airflow_jobmon.archive.folder import OpenFolder
from airflow_jobmon.core.model.archive import YOUNGEST, YOUNGEST_EXPORTED, ArchiveReport, cutoff
from airflow_jobmon.errors import ArchiveProblem, ConfigurationError, JobmonError, UnknownJob
from airflow_jobmon.postgres import archive as log_rows
from airflow_jobmon.postgres.archive import Batch, MovableJobs, RowRange
from airflow_jobmon.postgres.facts import known_names

Connection = psycopg.Connection[Any]
Progress = Callable[[str], None]

_PROGRESS_SECONDS = 2.0


def archive_runs(
    conn: Connection,
    older_than: Any,
    *,
    job: str | None = None,
    to: str | None = None,
    dry_run: bool = False,
    open_folder: OpenFolder | None = None,
    progress: Progress = lambda _: None,
) -> ArchiveReport:
    """Move runs that started longer ago than `older_than` (timedelta or text) to jobs_log_archive.

    `dry_run` only counts them; `to` (a URI that `open_folder` opens) exports them to files. A run stays if it is still
    running, if its job's evaluation needs it, or if an open incident or another table refers to it. Raises
    ConfigurationError, UnknownJob, StorageProblem, and ArchiveProblem if the database refuses to let runs go.
    """
    began = time.monotonic()
    youngest = YOUNGEST if to is None else YOUNGEST_EXPORTED
    report = ArchiveReport(cutoff(older_than, datetime.now(UTC), youngest=youngest), job, dry_run, to)
    try:
        _archive(conn, report, open_folder, progress)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ArchiveProblem(
            f"role {conn.info.user!r} lacks permission to archive: {error.diag.message_primary}; archive as the "
            "owner of the job log, or grant that role jobmon_operator, and SELECT, UPDATE and DELETE on the job log "
            "and its partitions"
        ) from None
    report.seconds = time.monotonic() - began
    return report


def _archive(conn: Connection, report: ArchiveReport, open_folder: OpenFolder | None, progress: Progress) -> None:
    job = report.job_name
    if job is not None and not known_names(conn, [job]):
        raise UnknownJob(f"job {job[:100]!r} has no run in the job log; check the name, which must match exactly")
    jobs = log_rows.movable_jobs(conn, report.before, job)
    for name in log_rows.foreign_parts(conn):
        progress(f"{name} is on another server; its runs stay there")
    if report.dry_run:
        _count(conn, jobs, report)
    elif report.to is None:
        _move_in_batches(conn, _ToArchive(conn), jobs, report, progress)
    elif open_folder is None:
        raise ConfigurationError(f"no way to open {report.to[:200]!r} here; archive without a target")
    else:
        _export(conn, jobs, report, open_folder, progress)


def _count(conn: Connection, jobs: MovableJobs, report: ArchiveReport) -> None:
    for table in log_rows.tables(conn):
        for found in log_rows.count(conn, table, jobs):
            report.jobs[found.job_name] += found.runs
    report.stay = log_rows.staying(conn, jobs, report.before)
    # Due runs that no rule keeps and that still cannot be moved: only the attempt itself shows which row, and why.
    others = report.stay.pop("", 0) - report.runs
    if others > 0:
        report.stay["referred to by another table, or this role lacks permission to move them"] = others


def _export(
    conn: Connection, jobs: MovableJobs, report: ArchiveReport, open_folder: OpenFolder, progress: Progress
) -> None:
    finish_interrupted(conn, None, open_folder, progress)
    if not jobs.count:
        return
    exporter = Exporter(conn, open_folder(report.to or ""), report.before, report.job_name, progress)
    try:
        _move_in_batches(conn, _ToFolder(exporter), jobs, report, progress)
        report.manifest, report.parts = exporter.finish(), exporter.parts
    except BaseException:
        # The parts exported so far are complete; the next export does the rest.
        with contextlib.suppress(JobmonError, psycopg.Error):
            exporter.finish()
        raise
    finally:
        with contextlib.suppress(psycopg.Error):
            exporter.journal.unlock()
    finish_interrupted(conn, exporter.journal.id, open_folder, progress)


def _move_in_batches(
    conn: Connection, mover: Mover, jobs: MovableJobs, report: ArchiveReport, progress: Progress
) -> None:
    if not jobs.count:
        return
    reported = time.monotonic()
    tables = log_rows.tables(conn)
    done_blocks, all_blocks = 0, max(sum(table.blocks for table in tables), 1)
    for table in tables:
        walk = TableBatches(conn, mover, table, jobs, refused=report.refused, progress=progress)
        for batch in walk.batches():
            report.jobs.update(batch.moved)
            if time.monotonic() - reported >= _PROGRESS_SECONDS:
                reported = time.monotonic()
                share = 100 * (done_blocks + walk.blocks_done) // all_blocks
                progress(f"{report.runs:,} runs moved, {share} % of the log processed")
        done_blocks += table.blocks


class _ToArchive:
    """Moves runs within the database, in batches of about a quarter of a second."""

    pace = BatchPace(first=2_000, most=20_000, seconds=0.25)

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def move(self, row_range: RowRange, most: int) -> Batch:
        return log_rows.move(self._conn, row_range, most)


class _ToFolder:
    """Moves runs to files: a batch is a part, and its rows are locked only after it is written."""

    pace = BatchPace(first=25_000, most=25_000, seconds=10.0)

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    def move(self, row_range: RowRange, most: int) -> Batch:
        return self._exporter.move(row_range, most)
