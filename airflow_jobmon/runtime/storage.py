"""Files anywhere that Airflow's ObjectStoragePath reaches: file://, s3://, gs://, abfs://, ..."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_jobmon.errors import StorageProblem


def keep(directory: str, name: str, content: bytes) -> str:
    """Write a file, replacing an earlier one of that name; return its URI.

    Raises StorageProblem if it cannot be written: an unknown scheme, a missing provider or connection, no permission,
    a full disk.
    """
    folder = StorageFolder(directory)
    with folder.write(name) as file:
        file.write(content)
    return f"{folder.uri}/{name}"


def audits_directory() -> str:
    """The default directory of audits."""
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - reads Airflow's whole configuration

    return f"{AIRFLOW_HOME}/jobmon-audits"


class StorageFolder:
    """A folder with streamed files, created with the first of them. It raises StorageProblem only."""

    def __init__(self, uri: str) -> None:
        """Connect to nothing yet; raise StorageProblem for a scheme that no installed provider opens."""
        from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - takes half a second

        with _storage_problems("open", uri, untouched=True):
            self._path: Any = ObjectStoragePath(uri if "://" in uri else f"file://{Path(uri).resolve()}")

    @property
    def uri(self) -> str:
        return str(self._path).rstrip("/")

    def child(self, name: str) -> StorageFolder:
        return StorageFolder(f"{self.uri}/{name}")

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[_File]:
        """A new file that replaces an earlier one; durable at the end of the block."""
        path = self._path / name
        with _storage_problems("write", path, untouched=True):
            self._path.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        try:
            yield _File(file, path)
        except BaseException:
            with contextlib.suppress(Exception):
                file.close()
            raise
        with _storage_problems("write", path):
            if path.protocol in {"", "file"}:
                file.flush()
                os.fsync(file.fileno())
            file.close()
            if path.protocol in {"", "file"}:
                _sync_directory(self._path.path)

    @contextlib.contextmanager
    def read(self, name: str) -> Iterator[_File]:
        path = self._path / name
        with _storage_problems("read", path):
            file = path.open("rb")
        try:
            yield _File(file, path)
        finally:
            with contextlib.suppress(Exception):
                file.close()

    def remove(self, name: str) -> None:
        """Remove a file if it exists, and a local folder along with its last file."""
        path = self._path / name
        with _storage_problems("remove", path):
            path.unlink(missing_ok=True)
        if path.protocol in {"", "file"}:
            with contextlib.suppress(OSError):
                Path(self._path.path).rmdir()


class _File:
    """A file whose errors are StorageProblems."""

    def __init__(self, file: Any, path: Any) -> None:
        self._file, self._path = file, path

    def write(self, data: bytes) -> int:
        with _storage_problems("write", self._path):
            return int(self._file.write(data))

    def read(self, size: int = -1) -> bytes:
        with _storage_problems("read", self._path):
            return bytes(self._file.read(size))

    def flush(self) -> None:
        """Do nothing: only the end of the block makes the file durable."""


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _storage_problems(what: str, path: Any, *, untouched: bool = False) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Every file system raises its own errors.
        raise StorageProblem(
            f"cannot {what} {str(path)[:300]} ({type(error).__name__}: {str(error)[:200]}); check that the location "
            "exists, has room, and that this process may write there (file:///srv/jobmon, s3://connection@bucket/jobmon)",
            untouched=untouched,
        ) from error
