"""Files at any place that Airflow's ObjectStoragePath reaches: file://, s3://, gs://, abfs://, ..."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_jobmon.errors import StorageProblem


def keep(directory: str, name: str, content: bytes) -> str:
    """Write a file, in place of an earlier one of that name; returns its URI.

    Raises StorageProblem where the place cannot be written to: an unknown scheme, a missing provider or connection, no
    right, a full disk.
    """
    folder = StorageFolder(directory)
    with folder.write(name) as file:
        file.write(content)
    return f"{folder.uri}/{name}"


def audits_directory() -> str:
    """Where audits are kept unless somebody says otherwise."""
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - it reads Airflow's whole configuration

    return f"{AIRFLOW_HOME}/jobmon-audits"


class StorageFolder:
    """A folder whose files are streamed; it is made when the first is written. All it raises is StorageProblem."""

    def __init__(self, uri: str) -> None:
        """Nothing is reached yet; a scheme that nothing here can open is refused."""
        from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - half a second that only a kept file is worth

        with _told("open", uri, untouched=True):
            self._path: Any = ObjectStoragePath(uri if "://" in uri else f"file://{Path(uri).resolve()}")

    @property
    def uri(self) -> str:
        return str(self._path).rstrip("/")

    def child(self, name: str) -> StorageFolder:
        return StorageFolder(f"{self.uri}/{name}")

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[_File]:
        """A new file in place of an earlier one; at the end of the block it is where a crash cannot take it away."""
        path = self._path / name
        with _told("write", path, untouched=True):
            self._path.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        try:
            yield _File(file, path)
        except BaseException:
            with contextlib.suppress(Exception):
                file.close()
            raise
        with _told("write", path):
            if path.protocol in {"", "file"}:
                file.flush()
                os.fsync(file.fileno())
            file.close()
            if path.protocol in {"", "file"}:
                _sync_directory(self._path.path)

    @contextlib.contextmanager
    def read(self, name: str) -> Iterator[_File]:
        path = self._path / name
        with _told("read", path):
            file = path.open("rb")
        try:
            yield _File(file, path)
        finally:
            with contextlib.suppress(Exception):
                file.close()

    def remove(self, name: str) -> None:
        """Take a file away, if it is there, and the folder with its last file where folders are real."""
        path = self._path / name
        with _told("remove", path):
            path.unlink(missing_ok=True)
        if path.protocol in {"", "file"}:
            with contextlib.suppress(OSError):
                Path(self._path.path).rmdir()


class _File:
    """A file whose failures are StorageProblems."""

    def __init__(self, file: Any, path: Any) -> None:
        self._file, self._path = file, path

    def write(self, data: bytes) -> int:
        with _told("write", self._path):
            return int(self._file.write(data))

    def read(self, size: int = -1) -> bytes:
        with _told("read", self._path):
            return bytes(self._file.read(size))

    def flush(self) -> None:
        """Only the end of the block makes a file safe."""


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _told(what: str, path: Any, *, untouched: bool = False) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Every file system raises errors of its own.
        raise StorageProblem(
            f"cannot {what} {str(path)[:300]} ({type(error).__name__}: {str(error)[:200]}); check that the place "
            "exists, has room, and that this process may use it (file:///srv/jobmon, s3://connection@bucket/jobmon)",
            untouched=untouched,
        ) from error
