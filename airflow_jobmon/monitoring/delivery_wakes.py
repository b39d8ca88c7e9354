"""Decides when a watcher wakes the process or the DAG that delivers alerts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from airflow_jobmon.postgres.outbox import newest_due_alert
from airflow_jobmon.postgres.watchers import WatcherIdentity, is_delivered_elsewhere

_REPEAT_FIRST = 5.0
"""Seconds until a wake is repeated for alerts that are still due, since a wake may be lost; doubles each time."""

_REPEAT_LONGEST = 300.0

_GIVE_WAY = 0.15
"""Seconds that a process which delivers by itself gets before a DAG is woken for the same alerts."""


@dataclass(frozen=True, slots=True)
class _Wake:
    """The last wake: the newest alert that was due, when it was (monotonic), and seconds until it is repeated."""

    newest_alert: int
    at: float
    repeat_after: float


class DeliveryWakes:
    """The wakes of one watcher. One that delivers by itself is woken at once, for as long as alerts are due."""

    def __init__(self, watcher: WatcherIdentity) -> None:
        self._watcher = watcher
        self._last: _Wake | None = None

    @property
    def repeat_at(self) -> float | None:
        """When the last wake is to be repeated (monotonic), or None if no alert is due."""
        return None if self._last is None else self._last.at + self._last.repeat_after

    def is_due(self, conn: psycopg.Connection[Any]) -> bool:
        """Whether to wake now: alerts are due, and no process is sending them."""
        newest = newest_due_alert(conn)
        if newest is None:
            self._last = None
            return False
        if self._watcher.delivers:
            return True
        now, last = time.monotonic(), self._last
        if last is None or newest > last.newest_alert:
            if self._is_taken_elsewhere(conn):
                return False
            self._last = _Wake(newest, now, _REPEAT_FIRST)
            return True
        if now - last.at < last.repeat_after:
            return False
        self._last = _Wake(newest, now, min(last.repeat_after * 2, _REPEAT_LONGEST))
        return True

    def _is_taken_elsewhere(self, conn: psycopg.Connection[Any]) -> bool:
        """Whether a process that delivers by itself takes the alerts within the moment it needs."""
        if not is_delivered_elsewhere(conn, self._watcher):
            return False
        deadline = time.monotonic() + _GIVE_WAY
        while time.monotonic() < deadline:
            time.sleep(0.02)
            if newest_due_alert(conn) is None:
                return True
        return False
