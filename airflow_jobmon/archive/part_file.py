"""One part of an export: runs as gzipped CSV, written, read back and compared."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_jobmon.archive.folder import Folder, Sink, Source
from airflow_jobmon.errors import ArchiveProblem
from airflow_jobmon.postgres.exports import ExportedRow

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A written part: its rows by place and digest, its size and checksum."""

    rows: list[tuple[str, int]]
    size: int
    sha256: str


def write_part(folder: Folder, name: str, header: Sequence[str], rows: Iterable[ExportedRow]) -> WrittenPart:
    """Write rows as gzipped CSV, line by line; without rows, the file holds the header only."""
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
    """Read a part back; raise ArchiveProblem if its checksum or its number of rows differs from what was written."""
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
    """Count the lines of CSV. Line ends inside quotes do not count: split at quotes, every second piece is inside."""
    rows, inside = 0, False
    for chunk in chunks:
        for place, piece in enumerate(chunk.split(b'"')):
            inside ^= place > 0
            if not inside:
                rows += piece.count(b"\n")
    return rows


class _Tally:
    """Size and SHA-256 of the data written or read."""

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
        raise OSError("a part is read from start to end")


def _quoted(column: str) -> bytes:
    return b'"' + column.replace('"', '""').encode() + b'"'
