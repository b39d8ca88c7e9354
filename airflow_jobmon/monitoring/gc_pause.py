"""Pauses Python's garbage collector during work that creates many short-lived objects.

A batch of jobs creates tens of thousands of objects that are gone when it is done. A collection in between would count
them as old, and once the old objects have grown by a quarter, Python traverses everything that the process holds: in a
triggerer that takes a tenth of a second or more, in which no trigger runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def gc_paused() -> Iterator[None]:
    """Collect nothing in this process until the block ends; keep it short. Several threads may pause at once."""
    global _pauses, _was_enabled  # noqa: PLW0603 - the collector, too, is shared by the process
    with _lock:
        if not _pauses:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if not _pauses and _was_enabled:
                gc.enable()
