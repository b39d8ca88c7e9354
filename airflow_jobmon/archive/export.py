"""Exports runs to files before they leave the log: a part is written, read back, and only then are its rows deleted.

A part counts exactly if its journal entry is `deleted`, written in the transaction that deletes its rows. Who is
killed leaves at most a file that does not count; who exports next takes it away and completes the manifest.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg

from airflow_jobmon.core.times import iso
from airflow_jobmon.errors import ArchiveProblem, JobmonError, StorageProblem
from airflow_jobmon.postgres.archive import Batch, Place, Stretch, next_place
from airflow_jobmon.postgres.exports import GIVEN_UP, Export, ExportedRow, ExportJournal, Part

Connection = psycopg.Connection[Any]
Progress = Callable[[str], None]

MANIFEST = "manifest.json"
_TRIES = 10
"""Times a part is written again because some of its rows changed meanwhile."""

_CHUNK = 1 << 20
_NOTES = {
    "csv": "RFC 4180 in UTF-8, gzip: a header line, CRLF, every value in quotes; an empty field without quotes is NULL",
    "values": (
        "as Postgres writes them (ISO dates, times with their offset), nothing cut or defused: to be loaded by a "
        "database. Text that a spreadsheet takes for a formula is left as it is, so do not open the files in one"
    ),
}


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


class Source(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Folder(Protocol):
    """Where the files of an export are kept; what cannot be done raises StorageProblem."""

    @property
    def uri(self) -> str: ...
    def child(self, name: str) -> Folder: ...
    def write(self, name: str) -> AbstractContextManager[Sink]: ...
    def read(self, name: str) -> AbstractContextManager[Source]: ...
    def remove(self, name: str) -> None: ...


OpenFolder = Callable[[str], Folder]


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """What was written to a file: rows by place and digest, its size and checksum."""

    rows: list[tuple[str, int]]
    size: int
    sha256: str


class Exporter:
    """Moves stretches of the log to part files in a folder of its own; used like `postgres.archive.move`."""

    def __init__(self, conn: Connection, target: Folder, before: datetime, job: str | None, progress: Progress) -> None:
        export_id = uuid4()
        now = datetime.now(UTC)
        self._conn, self._progress = conn, progress
        self.folder = target.child(f"jobs_log-{now:%Y%m%dT%H%M%SZ}-{export_id.hex[:8]}")
        self.journal = ExportJournal(conn, export_id)
        self.journal.begin(self.folder.uri, before, job)
        self.parts = 0
        self._number = 0

    def move(self, stretch: Stretch, most: int) -> Batch:
        """Write up to `most` rows of a stretch to a new part, read it back, and delete exactly those rows."""
        if next_place(self._conn, stretch) is None:
            return Batch(0, None, {})
        self._number += 1
        number, name = self._number, f"part-{self._number:05}.csv.gz"
        self.journal.begin_part(number, name, stretch.table.relation)
        try:
            batch = self._export(stretch, most, number, name)
        except BaseException as error:
            with contextlib.suppress(JobmonError, psycopg.Error):
                untouched = isinstance(error, StorageProblem) and error.untouched
                give_up(self.journal, self.folder, number, name, untouched=untouched)
            if isinstance(error, psycopg.Error) and error.sqlstate == GIVEN_UP:
                raise ArchiveProblem(f"{error.diag.message_primary}; its runs are still in the job log") from None
            raise
        if batch.picked:
            self.parts += 1
            write_manifest(self.journal, self.folder, complete=False)
        else:
            give_up(self.journal, self.folder, number, name)
        return batch

    def _export(self, stretch: Stretch, most: int, number: int, name: str) -> Batch:
        header = [column["name"] for column in self.journal.columns(stretch.table.relation)]
        excluded: list[str] = []
        for _ in range(_TRIES):
            written = write_part(self.folder, name, header, self.journal.rows(stretch, most, excluded))
            if not written.rows:
                return Batch(0, None, {})
            verify_part(self.folder, name, written)
            self.journal.part_verified(number, runs=len(written.rows), size=written.size, sha256=written.sha256)
            staying, moved = self.journal.delete_rows(stretch.table.relation, number, written.rows)
            if not staying:
                return Batch(len(written.rows), _place(written.rows[-1][0]), moved)
            self._progress(f"{len(staying)} runs changed or are held by somebody; they stay for the next time")
            excluded += staying
        raise ArchiveProblem(
            f"runs of {stretch.table.relation} changed each of {_TRIES} times that they were exported; "
            "what is not archived is still in the job log, so try again when it is quieter"
        )

    def finish(self) -> str | None:
        """Complete the manifest; returns its URI, or None where nothing was exported."""
        return _finish(self.journal, self.folder)


def write_part(folder: Folder, name: str, header: Sequence[str], rows: Iterable[ExportedRow]) -> WrittenPart:
    """Write rows as gzipped CSV, a line at a time; the file of no rows holds a header."""
    keys: list[tuple[str, int]] = []
    with contextlib.closing(iter(rows)) as lines, folder.write(name) as file:  # type: ignore[type-var]
        sink = _TalliedSink(file)
        with gzip.GzipFile(filename="", mode="wb", fileobj=sink, compresslevel=4, mtime=0) as out:
            out.write(b",".join(_quoted(column) for column in header) + b"\r\n")
            for row in lines:
                out.write(row.line + b"\r\n")
                keys.append((row.place, row.digest))
    return WrittenPart(keys, sink.size, sink.sha256.hexdigest())


def verify_part(folder: Folder, name: str, written: WrittenPart) -> None:
    """Read a part back; raises ArchiveProblem unless its checksum and its rows are those that were written."""
    with folder.read(name) as file:
        source = _TalliedSource(file)
        with gzip.GzipFile(fileobj=source, mode="rb") as content:
            try:
                rows = count_rows(iter(lambda: content.read(_CHUNK), b"")) - 1
            except (OSError, EOFError, zlib.error) as error:
                raise ArchiveProblem(
                    f"{folder.uri}/{name} cannot be read back ({error}); nothing was deleted"
                ) from None
        while source.read(_CHUNK):
            pass
    if (rows, source.sha256.hexdigest()) != (len(written.rows), written.sha256):
        raise ArchiveProblem(
            f"{folder.uri}/{name} reads back as {rows} rows with SHA-256 {source.sha256.hexdigest()}, but "
            f"{len(written.rows)} with {written.sha256} were written; nothing was deleted"
        )


def count_rows(chunks: Iterable[bytes]) -> int:
    """Lines of CSV, those that end inside quotes aside; every second piece between quotes is outside of them."""
    rows, inside = 0, False
    for chunk in chunks:
        for place, piece in enumerate(chunk.split(b'"')):
            inside ^= place > 0
            if not inside:
                rows += piece.count(b"\n")
    return rows


def write_manifest(journal: ExportJournal, folder: Folder, *, complete: bool) -> str:
    """Say what the folder holds: exactly the parts whose rows have left the log. Returns its URI."""
    export = journal.export()
    if export is None:
        raise ArchiveProblem(f"the journal of {folder.uri} is gone; its parts hold what their names say all the same")
    done = [part for part in journal.parts() if part.state == "deleted"]
    content = json.dumps(_manifest(journal, export, done, complete=complete), indent=2, ensure_ascii=False)
    with folder.write(MANIFEST) as file:
        file.write(content.encode())
    return f"{folder.uri}/{MANIFEST}"


def _manifest(journal: ExportJournal, export: Export, parts: Sequence[Part], *, complete: bool) -> dict[str, Any]:
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
    """Take away the file of a part whose runs are still in the log; where that fails, the journal keeps it in mind."""
    if journal.withdraw_part(number):
        if not untouched:
            folder.remove(name)
        journal.drop_part(number)


def finish_interrupted(conn: Connection, own: UUID | None, open_folder: OpenFolder, progress: Progress) -> None:
    """Clear up after exports whose process is gone: files that do not count are taken away, manifests completed.

    A folder out of reach is told and left for another time.
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
                progress(f"an interrupted export was completed: {manifest or export.folder + ' holds nothing'}")
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


class _Tally:
    """Size and SHA-256 of what went through a file."""

    def __init__(self) -> None:
        self.size = 0
        self.sha256 = hashlib.sha256()

    def _note(self, data: bytes) -> None:
        self.size += len(data)
        self.sha256.update(data)


class _TalliedSink(_Tally):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def write(self, data: bytes) -> int:
        self._note(data)
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()


class _TalliedSource(_Tally):
    mode = "rb"

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._note(data)
        return data

    def seek(self, _offset: int, /) -> int:
        raise OSError("a part is read from its beginning to its end")


def _quoted(column: str) -> bytes:
    return b'"' + column.replace('"', '""').encode() + b'"'


def _place(tid: str) -> Place:
    block, _, number = tid.strip("()").partition(",")
    return int(block), int(number)
