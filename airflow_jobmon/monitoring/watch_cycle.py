"""The poll cycle of a watcher: evaluate events, then the jobs that are due, then a sweep in batches.

All of it runs in one thread. A cycle that makes alerts ends early, so that they are sent first; the next cycle
continues the sweep where it stopped. New events are evaluated between two steps of a cycle.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg

from airflow_jobmon.monitoring.batches import BATCH
from airflow_jobmon.monitoring.checks import evaluate_due, evaluate_events, warm_up
from airflow_jobmon.monitoring.delivery_wakes import DeliveryWakes
from airflow_jobmon.monitoring.gc_pause import gc_paused
from airflow_jobmon.monitoring.sweep_progress import SweepProgress, SweepStage
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.watchers import WatcherIdentity, remove_watcher, write_heartbeat
from airflow_jobmon.settings import Settings

Connection = psycopg.Connection[Any]

_HEARTBEAT = 5.0
"""Seconds between heartbeats, and at most between two checks for jobs that are due."""

_DELIVERY_HEAD_START = 0.05
"""Seconds that a delivery in this process gets before the cycle which ended early for it is continued."""


@dataclass(slots=True)
class LiveWatcherStatus:
    """What a watcher in this process is doing.

    listens: NOTIFY arrives, so it need not poll. events, alerts: how many it has evaluated and made since its start.
    """

    connected: bool = False
    listens: bool = False
    events: int = 0
    alerts: int = 0
    error: str | None = None


class WatchCycle:
    """The cycles of one watcher, on a connection of its own.

    Call `connect` and `start`, then `run_once` repeatedly; `disconnect` before a reconnect, and `close` at the end.
    """

    def __init__(self, status: LiveWatcherStatus, *, kind: str, delivers: bool) -> None:
        self._status = status
        self._watcher = WatcherIdentity(uuid4(), kind, socket.gethostname(), os.getpid(), delivers)
        self._settings = Settings()
        self._conn: Connection | None = None
        self._sweep: SweepProgress | None = None
        self._wakes = DeliveryWakes(self._watcher)
        self._swept_at = self._heartbeat_at = float("-inf")
        self._continue_at = float("inf")

    def connect(self, conninfo: str, settings: Settings) -> None:
        """Raises ConnectionProblem, and SchemaProblem where this package cannot work with the database."""
        self._settings = settings
        self._conn = connect(conninfo)
        check_schema(self._conn)

    def start(self) -> None:
        """Write the first heartbeat, once `status.listens` is known."""
        self._connection.prepare_threshold = 0 if self._status.listens else None
        warm_up(self._connection)
        self._write_heartbeat()

    def notify(self) -> None:
        """Send the NOTIFY that shows whether LISTEN works."""
        self._connection.execute("SELECT pg_notify('airflow_jobmon', '')")

    def disconnect(self) -> None:
        self._sweep = None
        if self._conn is not None:
            self._conn.close()
        self._conn = None
        self._heartbeat_at = float("-inf")

    def close(self) -> None:
        """Remove the heartbeat and disconnect."""
        with contextlib.suppress(psycopg.Error):
            if self._conn is not None:
                remove_watcher(self._conn, self._watcher)
        self.disconnect()

    @property
    def backend_pid(self) -> int:
        return self._connection.info.backend_pid

    def seconds_until_next(self) -> float:
        """Seconds until the next cycle, if no NOTIFY asks for one before."""
        now = time.monotonic()
        sweep_at = self._swept_at + self._settings.sweep_interval.total_seconds()
        moments = [sweep_at, self._heartbeat_at + _HEARTBEAT, self._continue_at]
        if (repeat_at := self._wakes.repeat_at) is not None:
            moments.append(repeat_at)
        return max(0.0, min(moments) - now)

    def run_once(self) -> bool:
        """Run one cycle, or the rest of one that ended early; true when alerts are due for delivery."""
        self._continue_at = float("inf")
        if self._evaluate_events():
            return True
        if self._ends_early(alerts=self._evaluate_due()):
            return True
        self._begin_sweep_if_time()
        while self._sweep is not None:
            if self._run_sweep_step(self._sweep):
                return True
        if time.monotonic() - self._heartbeat_at >= _HEARTBEAT:
            self._write_heartbeat()
        return self._wakes.is_due(self._connection)

    @property
    def _connection(self) -> Connection:
        if self._conn is None:
            raise psycopg.OperationalError("the watcher's connection is closed")
        return self._conn

    def _write_heartbeat(self) -> None:
        write_heartbeat(self._connection, self._watcher, listens=self._status.listens)
        self._heartbeat_at = time.monotonic()

    def _evaluate_events(self) -> bool:
        """Evaluate all new events; true when the rest of the cycle must wait until their alerts are sent."""
        while True:
            with gc_paused():
                evaluated = evaluate_events(self._connection, self._settings)
            if not evaluated.events:
                return False
            self._status.events += evaluated.events
            self._status.alerts += evaluated.alerts
            if evaluated.alerts and self._watcher.delivers:
                more_events = evaluated.events >= BATCH
                self._continue_at = time.monotonic() + (0 if more_events else _DELIVERY_HEAD_START)
                return True

    def _evaluate_due(self) -> int:
        """Evaluate the jobs that have reached a deadline; the number of their alerts."""
        with gc_paused():
            return evaluate_due(self._connection, self._settings).alerts

    def _ends_early(self, alerts: int) -> bool:
        """Between two steps: whether the alerts of the last one, or of new events, are to be sent first."""
        self._status.alerts += alerts
        if alerts and self._wakes.is_due(self._connection):
            self._continue_at = time.monotonic()
            return True
        return self._evaluate_events()

    def _begin_sweep_if_time(self) -> None:
        now = time.monotonic()
        if self._sweep is None and now - self._swept_at >= self._settings.sweep_interval.total_seconds():
            self._swept_at = now  # also when this fails: the next sweep comes after the interval
            with gc_paused():
                self._sweep = SweepProgress(self._connection, self._settings)

    def _run_sweep_step(self, sweep: SweepProgress) -> bool:
        """Run one step of the sweep; true when the cycle is to end early after it."""
        with gc_paused():
            alerts = sweep.run_step()
        if sweep.stage is SweepStage.DONE:
            self._sweep = None
            return False
        return self._ends_early(alerts)
