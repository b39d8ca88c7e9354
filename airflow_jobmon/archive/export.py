"""Exports runs to files before they leave the log: writes a part, reads it back, and only then deletes its rows.

A part counts if and only if its journal entry is `deleted`, which is written in the transaction that deletes its rows.
A killed export leaves at most one file that does not count; the next export removes it and completes the manifest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from airflow_jobmon.archive.folder import Folder, OpenFolder
from airflow_jobmon.archive.part_file import verify_part, write_part
from airflow_jobmon.core.times import iso
from airflow_jobmon.errors import ArchiveProblem, JobmonError, StorageProblem
from airflow_jobmon.postgres.archive import Batch, RowRange, next_place, read_place
from airflow_jobmon.postgres.exports import WITHDRAWN, ExportJournal, ExportPart, JournaledExport

Connection = psycopg.Connection[Any]
Progress = Callable[[str], None]

MANIFEST = "manifest.json"
_TRIES = 10
"""Attempts to write a part whose rows change meanwhile."""

_NOTES = {
    "csv": "RFC 4180 in UTF-8, gzip: a header line, CRLF, every value in quotes; an empty field without quotes is NULL",
    "values": (
        "as Postgres writes them (ISO dates, times with offset), nothing cut or escaped for spreadsheets: load the "
        "files into a database. Text may contain formulas, so do not open the files in a spreadsheet"
    ),
}


class Exporter:
    """Moves stretches of the log to part files in a new folder."""

    def __init__(self, conn: Connection, target: Folder, before: datetime, job: str | None, progress: Progress) -> None:
        export_id = uuid4()
        now = datetime.now(UTC)
        self._conn, self._progress = conn, progress
        self.folder = target.child(f"jobs_log-{now:%Y%m%dT%H%M%SZ}-{export_id.hex[:8]}")
        self.journal = ExportJournal(conn, export_id)
        self.journal.begin(self.folder.uri, before, job)
        self.parts = 0
        self._number = 0

    def move(self, row_range: RowRange, most: int) -> Batch:
        """Write up to `most` rows of a range to a new part, read it back, and delete exactly those rows."""
        if next_place(self._conn, row_range) is None:
            return Batch(0, None, {})
        self._number += 1
        number, name = self._number, f"part-{self._number:05}.csv.gz"
        self.journal.begin_part(number, name, row_range.table.relation)
        try:
            batch = self._export(row_range, most, number, name)
        except BaseException as error:
            with contextlib.suppress(JobmonError, psycopg.Error):
                untouched = isinstance(error, StorageProblem) and error.untouched
                give_up(self.journal, self.folder, number, name, untouched=untouched)
            if isinstance(error, psycopg.Error) and error.sqlstate == WITHDRAWN:
                raise ArchiveProblem(f"{error.diag.message_primary}; its runs are still in the job log") from None
            raise
        if batch.picked:
            self.parts += 1
            write_manifest(self.journal, self.folder, complete=False)
        else:
            give_up(self.journal, self.folder, number, name)
        return batch

    def _export(self, row_range: RowRange, most: int, number: int, name: str) -> Batch:
        header = [column["name"] for column in self.journal.columns(row_range.table.relation)]
        excluded: list[str] = []
        for _ in range(_TRIES):
            written = write_part(self.folder, name, header, self.journal.rows(row_range, most, excluded))
            if not written.rows:
                return Batch(0, None, {})
            verify_part(self.folder, name, written)
            self.journal.part_verified(number, runs=len(written.rows), size=written.size, sha256=written.sha256)
            staying, moved = self.journal.delete_rows(row_range.table.relation, number, written.rows)
            if not staying:
                return Batch(len(written.rows), read_place(written.rows[-1][0]), moved)
            self._progress(f"{len(staying)} runs changed or are locked; they stay for the next export")
            excluded += staying
        raise ArchiveProblem(
            f"runs of {row_range.table.relation} changed during each of {_TRIES} attempts to export them; "
            "runs that are not archived are still in the job log, so try again at a quieter time"
        )

    def finish(self) -> str | None:
        """Complete the manifest; return its URI, or None if nothing was exported."""
        return _finish(self.journal, self.folder)


def write_manifest(journal: ExportJournal, folder: Folder, *, complete: bool) -> str:
    """List the parts whose rows have left the log, and no other; return the manifest's URI."""
    export = journal.export()
    if export is None:
        raise ArchiveProblem(f"the journal of {folder.uri} is gone, so it gets no manifest; its parts are intact")
    done = [part for part in journal.parts() if part.state == "deleted"]
    content = json.dumps(_manifest(journal, export, done, complete=complete), indent=2, ensure_ascii=False)
    with folder.write(MANIFEST) as file:
        file.write(content.encode())
    return f"{folder.uri}/{MANIFEST}"


def _manifest(
    journal: ExportJournal, export: JournaledExport, parts: Sequence[ExportPart], *, complete: bool
) -> dict[str, Any]:
    relations = dict.fromkeys(part.relation for part in parts)
    return {
        "format": 1,
        "id": str(export.id),
        "table": export.table,
        "before": iso(export.before),
        "job_name": export.job_name,
        "started_at": iso(export.started_at),
        "complete": complete,
        "runs": sum(part.runs or 0 for part in parts),
        **_NOTES,
        "columns": {relation: journal.columns(relation) for relation in relations},
        "parts": [
            {"name": p.name, "table": p.relation, "runs": p.runs, "bytes": p.bytes, "sha256": p.sha256} for p in parts
        ],
    }


def give_up(journal: ExportJournal, folder: Folder, number: int, name: str, *, untouched: bool = False) -> None:
    """Remove the file of a part whose runs are still in the log; if that fails, the journal keeps the part listed."""
    if journal.withdraw_part(number):
        if not untouched:
            folder.remove(name)
        journal.drop_part(number)


def finish_interrupted(conn: Connection, own: UUID | None, open_folder: OpenFolder, progress: Progress) -> None:
    """Clean up after exports whose process died: remove files that do not count, complete manifests.

    A folder that is out of reach is reported and left for the next time.
    """
    for export_id in ExportJournal(conn, own or uuid4()).others_unfinished():
        journal = ExportJournal(conn, export_id)
        if not journal.try_lock():
            continue
        try:
            export = journal.export()
            if export is not None:
                folder = open_folder(export.folder)
                for part in journal.parts():
                    if part.state != "deleted":
                        give_up(journal, folder, part.number, part.name)
                manifest = _finish(journal, folder)
                progress(f"an interrupted export was completed: {manifest or export.folder + ' is empty'}")
        except JobmonError as error:
            progress(f"an interrupted export could not be completed: {error}")
        finally:
            journal.unlock()


def _finish(journal: ExportJournal, folder: Folder) -> str | None:
    states = {part.state for part in journal.parts()}
    manifest = write_manifest(journal, folder, complete=True) if "deleted" in states else None
    if states <= {"deleted"}:
        journal.finish()
    return manifest
