"""Delivers until it is stopped: what `airflow jobmon listen` runs alongside its watcher."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from airflow_jobmon.channels import Channel
from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.delivery.channel_sender import ChannelSender, DeliveryResult
from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import register_channels

log = logging.getLogger(__name__)

_LONGEST_RETRY = timedelta(seconds=15)
"""Between two attempts to use the database."""

_LONGEST_PAUSE = 30.0
"""Seconds between two checks of the outbox, if nothing wakes the service before."""


class DeliveryService:
    """One thread and one connection per channel, so that a hanging channel delays no other."""

    def __init__(self, conninfo: str, channels: Mapping[str, Channel], *, prepare: Callable[[], bool]) -> None:
        """prepare: whether statements may be prepared, which a pooler in transaction mode does not support."""
        self._conninfo = conninfo
        self._channels = dict(channels)
        self._prepare = prepare
        self._stopping = threading.Event()
        self._wakes = {name: threading.Event() for name in channels}
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=f"jobmon-deliver-{name}", daemon=True)
            for name, channel in self._channels.items()
        ]
        self.result = DeliveryResult()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Check the outbox now; call this whenever alerts may be due."""
        for event in self._wakes.values():
            event.set()

    def stop(self, timeout: float) -> None:
        """Finish the messages that are being sent, waiting at most `timeout` seconds for each thread, and end."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout)

    def _run(self, channel: Channel) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                with connect(self._conninfo) as conn:
                    conn.prepare_threshold = 2 if self._prepare() else None
                    register_channels(conn, [channel.name])
                    failures = 0
                    self._deliver(conn, channel)
            except (psycopg.Error, ConnectionProblem) as error:
                failures += 1
                self._wait_after(error, channel.name, failures)

    def _deliver(self, conn: psycopg.Connection[Any], channel: Channel) -> None:
        sender = ChannelSender(conn, channel, others=tuple(self._channels), holder=uuid4(), result=self.result)
        wake = self._wakes[channel.name]
        while not self._stopping.is_set():
            wake.clear()
            while not self._stopping.is_set() and sender.send_next(gather=True):
                pass
            wait = sender.seconds_until_next()
            wake.wait(_LONGEST_PAUSE if wait is None else min(max(wait, 0.02), _LONGEST_PAUSE))

    def _wait_after(self, error: Exception, channel_name: str, failures: int) -> None:
        wait = backoff(failures, jitter=random.random(), longest=_LONGEST_RETRY)  # noqa: S311 - jitter needs no secrecy
        unreachable = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | ConnectionProblem)
        log.warning(
            "channel %s: the database %s (%s); next attempt in %.1f s",
            channel_name,
            "cannot be reached" if unreachable else "refuses a statement that delivery needs",
            str(error).splitlines()[0],
            wait.total_seconds(),
        )
        self._stopping.wait(wait.total_seconds())
