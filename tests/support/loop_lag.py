"""Measures how long an event loop was blocked by its own process, not by other processes of the machine."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_TICK = 0.002
_STALL = 0.1


class Lag:
    """`stalls` are in seconds. Asleep behind the interpreter's lock counts, waiting for a processor does not."""

    def __init__(self) -> None:
        self.stalls: list[float] = []
        self.ticks = 0

    async def measure(self) -> None:
        while True:
            before, began = _waited_for_processor(), time.monotonic()
            await asyncio.sleep(_TICK)
            late = time.monotonic() - began - _TICK
            if late > _STALL:
                # A thread that holds the lock may itself wait for a processor: that is the machine's business too.
                after = _waited_for_processor()
                late -= sum(after[it] - before[it] for it in after.keys() & before.keys())
                if late > _STALL:
                    self.stalls.append(late)
            self.ticks += 1


def _waited_for_processor() -> Mapping[int | None, float]:
    """By thread of this process, for how many seconds it has been ready to run and was not run."""
    waited: dict[int | None, float] = {}
    for thread in threading.enumerate():
        try:
            read = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
        except OSError:
            continue  # it has ended; outside Linux this is unknown, so everything counts
        waited[thread.native_id] = int(read.split()[1]) / 1e9
    return waited


@asynccontextmanager
async def measured_lag() -> AsyncIterator[Lag]:
    lag = Lag()
    # What earlier tests left in this process would make each full collection take half a second.
    gc.collect()
    gc.freeze()
    task = asyncio.create_task(lag.measure())
    try:
        yield lag
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gc.unfreeze()
