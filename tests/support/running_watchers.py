"""Watchers that run in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from airflow_jobmon.monitoring.watcher import ReadTarget, Watcher
from airflow_jobmon.settings import Settings
from tests.support.wait_until import eventually

HOURLY_SWEEPS = Settings(channels=("slack",), sweep_interval=timedelta(hours=1))


def target_of(conninfo: str, settings: Settings) -> ReadTarget:
    async def read_target() -> tuple[str, Settings]:
        return conninfo, settings

    return read_target


class Watching:
    """A watcher at work; `woken` is how often it said that something is due."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.woken = 0

    async def follow(self) -> None:
        async for _ in self.watcher.alerts_due():
            self.woken += 1

    async def until(self, woken: int) -> None:
        await eventually(lambda: self.woken >= woken, f"being woken {woken} times")

    async def until_connected(self) -> None:
        await eventually(lambda: self.watcher.status.connected, "the watcher to watch")


@contextlib.asynccontextmanager
async def watching(
    conninfo: str, settings: Settings = HOURLY_SWEEPS, *, kind: str = "trigger", delivers: bool = False
) -> AsyncIterator[Watching]:
    running = Watching(Watcher(target_of(conninfo, settings), kind=kind, delivers=delivers))
    task = asyncio.create_task(running.follow())
    try:
        yield running
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
