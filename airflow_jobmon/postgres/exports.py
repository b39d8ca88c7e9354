"""The journal of exports, and the rows that they consist of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row

from airflow_jobmon.postgres.archive import RowRange
from airflow_jobmon.postgres.queries import load_queries

Connection = psycopg.Connection[Any]

WITHDRAWN = "JM011"
"""SQLSTATE of a part that another process withdrew from the journal."""


@dataclass(frozen=True, slots=True)
class JournaledExport:
    """The export of one call: a folder of its own, with part files and a manifest. Times are aware."""

    id: UUID
    folder: str
    before: datetime
    job_name: str | None
    started_at: datetime
    table: str


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A file of an export. state: written, verified, or deleted: then its runs are in this file and nowhere else."""

    number: int
    name: str
    relation: str
    state: str
    runs: int | None
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row as a line of CSV without its end, its place in the table, and a digest that shows whether it changed."""

    place: str
    digest: int
    line: bytes


class ExportJournal:
    """One export in the journal."""

    def __init__(self, conn: Connection, export_id: UUID) -> None:
        self._conn, self.id = conn, export_id
        self._sql = load_queries("exports")

    def begin(self, folder: str, before: datetime, job: str | None) -> None:
        """Add a new export to the journal, and lock it for as long as this session lasts."""
        self.try_lock()
        self._run("begin_export", folder=folder, before=before, job=job)

    def try_lock(self) -> bool:
        """Lock the export; False where another process works on it."""
        return bool(self._run("lock_export").fetchone()[0])  # type: ignore[index]

    def unlock(self) -> None:
        self._run("unlock_export")

    def export(self) -> JournaledExport | None:
        with self._conn.cursor(row_factory=class_row(JournaledExport)) as cursor:
            return cursor.execute(self._sql["export"], {"id": self.id}).fetchone()

    def parts(self) -> list[ExportPart]:
        with self._conn.cursor(row_factory=class_row(ExportPart)) as cursor:
            return cursor.execute(self._sql["parts"], {"id": self.id}).fetchall()

    def begin_part(self, number: int, name: str, relation: str) -> None:
        self._run("begin_part", number=number, name=name, relation=relation)

    def part_verified(self, number: int, *, runs: int, size: int, sha256: str) -> None:
        self._run("part_verified", number=number, runs=runs, bytes=size, sha256=sha256)

    def withdraw_part(self, number: int) -> bool:
        """Make sure that the runs of a part stay in the log; False if they left it already, so its file must stay."""
        return self._run("withdraw_part", number=number).rowcount == 1

    def drop_part(self, number: int) -> None:
        """Remove a withdrawn part from the journal, once its file is gone."""
        self._run("drop_part", number=number)

    def finish(self) -> None:
        self._run("finish_export")

    def delete_rows(
        self, relation: str, number: int, rows: Sequence[tuple[str, int]]
    ) -> tuple[list[str], Mapping[str, int]]:
        """Delete the rows of a verified part, by place and digest: all or none.

        Returns the places of rows that prevented it (changed or locked since), or else the deleted runs by job.
        """
        given = {
            "relation": relation,
            "places": [place for place, _ in rows],
            "digests": [digest for _, digest in rows],
            "number": number,
        }
        with self._conn.transaction():
            self._conn.execute("SELECT airflow_jobmon.archive_settings()")
            staying, moved = self._run("delete_exported", **given).fetchone()  # type: ignore[misc]
        return staying, moved

    def rows(self, row_range: RowRange, most: int, excluded: Sequence[str]) -> Iterator[ExportedRow]:
        """The rows of a range that may be moved, as they are under one snapshot; read to the end, or closed."""
        given = {**row_range.parameters, "most": most, "excluded": list(excluded)}
        with self._conn.transaction():
            self._conn.execute("SELECT airflow_jobmon.archive_settings()")
            (statement,) = self._run("export_statement", **given).fetchone()  # type: ignore[misc]
            with self._conn.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                for message in copy:
                    yield _row(bytes(message))

    def columns(self, relation: str) -> list[dict[str, Any]]:
        """The columns of the files, in order: name, type, and whether the database generates the value."""
        with self._conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._sql["columns"], {"relation": relation}).fetchall()

    def others_unfinished(self) -> list[UUID]:
        """The other exports that are running or were interrupted, oldest first."""
        return [other for (other,) in self._run("unfinished", own=self.id)]

    def _run(self, query: str, **given: Any) -> psycopg.Cursor[Any]:
        return self._conn.execute(self._sql[query], {"id": self.id, **given})


def _row(message: bytes) -> ExportedRow:
    """One message of a COPY is one line; it is whole if the number of its quotes is even."""
    if not message.endswith(b"\n") or message.count(b'"') % 2:
        raise ValueError(f"the server cut a line of CSV in two: {message[:100]!r}")
    key, _, line = message[1:-1].partition(b'",')
    place, _, digest = key.decode("ascii").partition(" ")
    return ExportedRow(place, int(digest), line)
