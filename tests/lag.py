"""How long a loop was kept from running by what shares its process, the machine's own business left out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_TICK = 0.002


class Lag:
    """`worst` is in seconds. Asleep behind the interpreter's lock counts, waiting for a processor does not."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.ticks = 0

    async def measure(self) -> None:
        while True:
            before, began = _waited_for_processor(), time.monotonic()
            await asyncio.sleep(_TICK)
            late = time.monotonic() - began - _TICK
            if late > self.worst:
                # A thread that holds the lock may itself wait for a processor: that is the machine's business too.
                after = _waited_for_processor()
                self.worst = max(self.worst, late - sum(after[it] - before[it] for it in after.keys() & before.keys()))
            self.ticks += 1


def _waited_for_processor() -> Mapping[int | None, float]:
    """By thread of this process, for how many seconds it has been ready to run and was not run."""
    waited: dict[int | None, float] = {}
    for thread in threading.enumerate():
        try:
            read = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
        except OSError:
            continue  # it has ended; elsewhere than on Linux nobody tells, so that all counts
        waited[thread.native_id] = int(read.split()[1]) / 1e9
    return waited


@asynccontextmanager
async def measured_lag() -> AsyncIterator[Lag]:
    lag = Lag()
    task = asyncio.create_task(lag.measure())
    try:
        yield lag
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
