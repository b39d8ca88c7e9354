"""Keeps Python's garbage collector out of work that makes much and leaves nothing.

A batch of jobs makes tens of thousands of objects that are gone when it is done. Collected meanwhile they count as old,
and old ones that grew by a quarter make Python look through everything the process holds: in a triggerer a tenth of a
second and more, in which no trigger runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_holding = 0
_was_enabled = False


@contextmanager
def gc_paused() -> Iterator[None]:
    """Nothing is collected in this process until the block ends; keep it short. Several threads may hold it at once."""
    global _holding, _was_enabled  # noqa: PLW0603 - the collector, too, is one for the whole process
    with _lock:
        if not _holding:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holding += 1
    try:
        yield
    finally:
        with _lock:
            _holding -= 1
            if not _holding and _was_enabled:
                gc.enable()
