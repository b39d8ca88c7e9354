"""`airflow jobmon listen`: a watcher and a deliverer in one process, until a signal stops it."""

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
from airflow_jobmon.cli.command import command, migrated_target, read_target
from airflow_jobmon.cli.output import CommandResult, printable
from airflow_jobmon.delivery.channel_sender import SEND_TIMEOUT
from airflow_jobmon.delivery.service import DeliveryService
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.monitoring.watcher import ReadTarget, Watcher
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import register_channels
from airflow_jobmon.runtime.deliver import channels_to_serve
from airflow_jobmon.settings import Settings

log = logging.getLogger("airflow_jobmon.listen")

RELOAD_INTERVAL = 30.0
"""Seconds between two readings of the configuration, for channels of newly registered jobs."""

Channels = Mapping[str, Channel]


class Configured(NamedTuple):
    """The configuration at one moment: the job log's conninfo, the channels, and why others cannot be opened."""

    target: str
    channels: Channels
    problems: Mapping[str, str]


@command()
def listen(args: Namespace) -> CommandResult:
    _, settings = migrated_target(args)

    def configured() -> Configured:
        target, now_set = read_target(args)
        return Configured(target, *channels_to_serve(target, now_set))

    async def read_current_target() -> tuple[str, Settings]:
        return await asyncio.to_thread(read_target, args)

    first = configured()
    # A shared channel that cannot be opened stops the start, where a person sees it. A channel that only one job names,
    # or that breaks later, must not silence the others.
    broken = [f"channel {name}: {problem}" for name, problem in first.problems.items() if name in settings.channels]
    if broken:
        raise ConfigurationError("; ".join(broken))
    if not first.channels:
        raise ConfigurationError(
            "no channel is configured, so no alert could be sent; name channels in [jobmon] channels"
        )
    with connect(first.target) as conn:  # fails here, where a person sees it, if the role may only read
        register_channels(conn, sorted(first.channels))
    _log_to_stderr()
    for name, problem in first.problems.items():
        log.error("channel %s: %s", name, problem)
    asyncio.run(_watch(read_current_target, first, configured))
    return CommandResult()


async def _watch(read_current_target: ReadTarget, first: Configured, configured: Callable[[], Configured]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watcher = Watcher(read_current_target, kind="listen", delivers=True)

    def new_service(target: str, channels: Channels) -> DeliveryService:
        return DeliveryService(target, channels, prepare=lambda: watcher.status.listens)

    delivery = _Delivery(new_service)
    delivery.restart(first)
    tasks = [
        asyncio.create_task(_wake_on_alerts(watcher, delivery)),
        asyncio.create_task(_follow(configured, delivery)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        log.info("stopping: finishing the messages in progress")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(delivery.stop)
    for task in done:
        task.result()
    log.info("stopped")


async def _wake_on_alerts(watcher: Watcher, delivery: _Delivery) -> None:
    async for _ in watcher.alerts_due():
        delivery.wake()


async def _follow(configured: Callable[[], Configured], delivery: _Delivery) -> None:
    """Follow the configured channels and connection for as long as the process runs."""
    logged: Mapping[str, str] = {}
    while True:
        await asyncio.sleep(RELOAD_INTERVAL)
        try:
            now = await asyncio.to_thread(configured)
        except (JobmonError, psycopg.Error):
            continue  # The watcher logs that the database is unreachable.
        if now.problems != logged:
            for name, problem in now.problems.items():
                log.error("channel %s: %s", name, problem)
            logged = now.problems
        if delivery.differs_from(now):
            await asyncio.to_thread(delivery.restart, now)


class _Delivery:
    """The running delivery service, which is replaced when channels are added or the connection changes."""

    def __init__(self, new_service: Callable[[str, Channels], DeliveryService]) -> None:
        self._new_service = new_service
        self._service: DeliveryService | None = None
        self._serving: Configured | None = None

    def differs_from(self, now: Configured) -> bool:
        serving = self._serving
        return serving is None or serving.target != now.target or bool(now.channels.keys() - serving.channels.keys())

    def restart(self, now: Configured) -> None:
        log.info("delivering on %s", ", ".join(now.channels))
        self.stop()
        self._service, self._serving = self._new_service(now.target, now.channels), now
        self._service.start()

    def wake(self) -> None:
        if self._service is not None:
            self._service.wake()

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop(SEND_TIMEOUT + 5)


class _OneLine(logging.Formatter):
    """Job names and errors reach a terminal: each record is one line without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
    ours = logging.getLogger("airflow_jobmon")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
