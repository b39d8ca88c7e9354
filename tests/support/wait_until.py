"""Waits for a condition: it usually holds at once, but late on a busy machine, so the timeout is long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

TIMEOUT = 60.0


def wait_until(condition: Callable[[], object], what: str = "what was waited for", timeout: float = TIMEOUT) -> None:
    """Until it holds; fails after `timeout` seconds, naming `what` did not come."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.01)


async def eventually(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """The same in a loop, which goes on meanwhile."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT:g} s for {what}"
        await asyncio.sleep(0.01)
