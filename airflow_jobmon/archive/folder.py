"""The folder that an export writes to, as the exporter needs it; runtime/storage.py opens one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


class Source(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Folder(Protocol):
    """The folder of an export's files; every failure raises StorageProblem."""

    @property
    def uri(self) -> str: ...
    def child(self, name: str) -> Folder: ...
    def write(self, name: str) -> AbstractContextManager[Sink]: ...
    def read(self, name: str) -> AbstractContextManager[Source]: ...
    def remove(self, name: str) -> None: ...


OpenFolder = Callable[[str], Folder]
