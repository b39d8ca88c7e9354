"""`airflow jobmon listen`: a watcher and a deliverer in one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import NamedTuple

import psycopg

from airflow_jobmon.channels import Channel
from airflow_jobmon.cli.command import command, read_target, ready_target
from airflow_jobmon.cli.output import Outcome, printable
from airflow_jobmon.delivery.sender import SEND_TIMEOUT, DeliveryService
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.monitoring.watcher import ReadTarget, Watcher
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import register_channels
from airflow_jobmon.runtime.deliver import channels_to_serve
from airflow_jobmon.settings import Settings

log = logging.getLogger("airflow_jobmon.listen")

LOOK_FOR_CHANNELS = 30.0
"""Seconds between looks for channels that jobs registered since then name."""

Channels = Mapping[str, Channel]


class Configured(NamedTuple):
    """What is configured at a moment: the job log's conninfo, the channels, and what is wrong with others."""

    target: str
    channels: Channels
    problems: Mapping[str, str]


@command()
def listen(args: Namespace) -> Outcome:
    _, settings = ready_target(args)

    def configured() -> Configured:
        target, now_set = read_target(args)
        return Configured(target, *channels_to_serve(target, now_set))

    async def where() -> tuple[str, Settings]:
        return await asyncio.to_thread(read_target, args)

    first = configured()
    # Refused at the start, where somebody looks; what one job names, or what breaks later, must not silence the others.
    wrong = [f"channel {name}: {problem}" for name, problem in first.problems.items() if name in settings.channels]
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    if not first.channels:
        raise ConfigurationError("no alert could go anywhere: name channels in [jobmon] channels")
    with connect(first.target) as conn:  # who may only read is told so here, where somebody looks
        register_channels(conn, sorted(first.channels))
    _log_to_stderr()
    for name, problem in first.problems.items():
        log.error("channel %s: %s", name, problem)
    asyncio.run(_watch(where, first, configured))
    return Outcome()


async def _watch(where: ReadTarget, first: Configured, configured: Callable[[], Configured]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watcher = Watcher(where, kind="listen", delivers=True)

    def serve(target: str, held: Channels) -> DeliveryService:
        return DeliveryService(target, held, prepare=lambda: watcher.status.listens)

    delivering = _Delivering(serve)
    delivering.hold(first)
    tasks = [
        asyncio.create_task(_pass_on(watcher, delivering)),
        asyncio.create_task(_follow(configured, delivering)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        log.info("stopping: finishing what is being sent")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(delivering.stop)
    for task in done:
        task.result()
    log.info("stopped")


async def _pass_on(watcher: Watcher, delivering: _Delivering) -> None:
    async for _ in watcher.alerts_due():
        delivering.wake()


async def _follow(configured: Callable[[], Configured], delivering: _Delivering) -> None:
    """Hold the channels and the connection that are configured by now, for as long as the process runs."""
    told: Mapping[str, str] = {}
    while True:
        await asyncio.sleep(LOOK_FOR_CHANNELS)
        try:
            now = await asyncio.to_thread(configured)
        except (JobmonError, psycopg.Error):
            continue  # The watcher tells of a database that is away.
        if now.problems != told:
            for name, problem in now.problems.items():
                log.error("channel %s: %s", name, problem)
            told = now.problems
        if delivering.lacks(now):
            await asyncio.to_thread(delivering.hold, now)


class _Delivering:
    """The delivery service of the moment; a new one takes over when there are channels more, or another target."""

    def __init__(self, serve: Callable[[str, Channels], DeliveryService]) -> None:
        self._serve = serve
        self._service: DeliveryService | None = None
        self._held: Configured | None = None

    def lacks(self, now: Configured) -> bool:
        held = self._held
        return held is None or held.target != now.target or bool(now.channels.keys() - held.channels.keys())

    def hold(self, now: Configured) -> None:
        log.info("delivering on %s", ", ".join(now.channels))
        self.stop()
        self._service, self._held = self._serve(now.target, now.channels), now
        self._service.start()

    def wake(self) -> None:
        if self._service is not None:
            self._service.wake()

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop(SEND_TIMEOUT + 5)


class _OneLine(logging.Formatter):
    """Job names and errors reach the terminal of whoever watches: one harmless line per record."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
    ours = logging.getLogger("airflow_jobmon")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
