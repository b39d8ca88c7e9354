"""`airflow jobmon listen`: a watcher and a deliverer in one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping

import psycopg

from airflow_jobmon import settings as jobmon_settings
from airflow_jobmon.channels import Channel
from airflow_jobmon.cli.output import Outcome, printable
from airflow_jobmon.cli.running import command, ready_target
from airflow_jobmon.delivery import SEND_TIMEOUT, DeliveryService
from airflow_jobmon.dispatch import channels_to_serve
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.settings import Settings
from airflow_jobmon.watcher import Watcher

log = logging.getLogger("airflow_jobmon.listen")

LOOK_FOR_CHANNELS = 30.0
"""Seconds between looks for channels that jobs registered since then name."""

Channels = Mapping[str, Channel]


@command()
def listen(args: Namespace) -> Outcome:
    target, settings = ready_target(args)

    def configured() -> tuple[Channels, Mapping[str, str]]:
        return channels_to_serve(target, jobmon_settings.load())

    channels, problems = configured()
    # Refused at the start, where somebody looks; what one job names, or what breaks later, must not silence the others.
    wrong = [f"channel {name}: {problem}" for name, problem in problems.items() if name in settings.channels]
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    if not channels:
        raise ConfigurationError("no alert could go anywhere: name channels in [jobmon] channels")
    _log_to_stderr()
    for name, problem in problems.items():
        log.error("channel %s: %s", name, problem)
    asyncio.run(_watch(target, settings, channels, configured))
    return Outcome()


async def _watch(
    target: str, settings: Settings, channels: Channels, configured: Callable[[], tuple[Channels, Mapping[str, str]]]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watcher = Watcher(target, settings, kind="listen", delivers=True)
    delivering = _Delivering(lambda held: DeliveryService(target, held, prepare=lambda: watcher.pulse.listens))
    delivering.hold(channels)
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
    async for _ in watcher.wakes():
        delivering.wake()


async def _follow(configured: Callable[[], tuple[Channels, Mapping[str, str]]], delivering: _Delivering) -> None:
    """Hold the channels that the registry and the configuration name by now, for as long as the process runs."""
    told: Mapping[str, str] = {}
    while True:
        await asyncio.sleep(LOOK_FOR_CHANNELS)
        try:
            channels, problems = await asyncio.to_thread(configured)
        except (JobmonError, psycopg.Error):
            continue  # The watcher tells of a database that is away.
        if problems != told:
            for name, problem in problems.items():
                log.error("channel %s: %s", name, problem)
            told = problems
        if channels.keys() - delivering.held:
            await asyncio.to_thread(delivering.hold, channels)


class _Delivering:
    """The delivery service of the moment; a new one takes over when there are channels more."""

    def __init__(self, serve: Callable[[Channels], DeliveryService]) -> None:
        self._serve = serve
        self._service: DeliveryService | None = None
        self.held: frozenset[str] = frozenset()

    def hold(self, channels: Channels) -> None:
        log.info("delivering on %s", ", ".join(channels))
        self.stop()
        self._service, self.held = self._serve(channels), frozenset(channels)
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
