"""What a watcher does on its own connection: judges what is noted and what is due, sweeps, and sees what to deliver.

Nothing here knows of a loop: it all runs in one thread, a look at a time. A sweep of many jobs is done in batches, over
several looks if need be, and what fails meanwhile is judged between two of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from airflow_jobmon.monitoring.checks import BATCH, evaluate_due, evaluate_events, full_check, keep_up, sweep, warm_up
from airflow_jobmon.monitoring.gc_pause import gc_paused
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.outbox import newest_due
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings

Connection = psycopg.Connection[Any]

_HEARTBEAT = 5.0
"""Seconds between heartbeats, and at most between two looks at what is due by the clock."""

_SEALING = timedelta(seconds=0.2)
"""What a sweep gives to counting days that are over: no failure waits longer for it."""

_WAKE_AGAIN = (5.0, 300.0)
"""Seconds after which the same due alerts are told of again: at first, and at most (a wake may be lost on its way)."""

_BREATHER = 0.05
"""Seconds left to whoever delivers before the look that was cut short for its sake is finished."""

_GIVE_WAY = 0.15
"""Seconds left to a process that delivers by itself, before a DAG is woken for the same alerts."""


@dataclass(slots=True)
class Pulse:
    """What a watcher is doing, for whoever shows it. `listens`: a NOTIFY arrives here, so nothing is polled."""

    connected: bool = False
    listens: bool = False
    events: int = 0
    alerts: int = 0
    error: str | None = None


class Lookout:
    """One watcher's eyes. `open` first; `drop` ends the connection, `leave` also takes its heartbeat away."""

    def __init__(self, pulse: Pulse, *, kind: str, delivers: bool) -> None:
        self._pulse = pulse
        self._delivers = delivers
        self._identity = {
            "id": uuid4(),
            "kind": kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "delivers": delivers,
        }
        self._sql = load_queries("watcher")
        self._settings = Settings()
        self._conn: Connection | None = None
        self._round: Iterator[int] | None = None
        self._swept = self._beaten = float("-inf")
        self._look_again = float("inf")
        self._told: tuple[int, float, float] | None = None

    def open(self, conninfo: str, settings: Settings) -> None:
        """Connect; raises ConnectionProblem, and SchemaProblem where this package cannot work with the database."""
        self._settings = settings
        self._conn = connect(conninfo)
        check_schema(self._conn)

    def begin(self) -> None:
        """The first heartbeat, once it is known whether LISTEN arrives."""
        self._connection.prepare_threshold = 0 if self._pulse.listens else None
        warm_up(self._connection)
        self._beat()

    def notify(self) -> None:
        self._connection.execute("SELECT pg_notify('airflow_jobmon', '')")

    def drop(self) -> None:
        self._round = None
        if self._conn is not None:
            self._conn.close()
        self._conn = None
        self._beaten = float("-inf")

    def leave(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if self._conn is not None:
                self._conn.execute(self._sql["forget"], self._identity)
        self.drop()

    @property
    def backend_pid(self) -> int:
        return self._connection.info.backend_pid

    def patience(self) -> float:
        """Seconds until the clock alone asks for the next look."""
        now = time.monotonic()
        told_again = now + _HEARTBEAT if self._told is None else self._told[1] + self._told[2]
        sweep_at = self._swept + self._settings.sweep_interval.total_seconds()
        return max(0.0, min(sweep_at, self._beaten + _HEARTBEAT, self._look_again, told_again) - now)

    def look(self) -> bool:
        """Judge what is new, sweep if it is time, and say whether somebody should deliver."""
        self._look_again = float("inf")
        if self._judge_noted():
            return True
        for alerts in self._steps():
            self._pulse.alerts += alerts
            if alerts and self._due():
                self._look_again = time.monotonic()
                return True
            if self._judge_noted():
                return True
        if time.monotonic() - self._beaten >= _HEARTBEAT:
            self._beat()
        return self._due()

    @property
    def _connection(self) -> Connection:
        if self._conn is None:
            raise psycopg.OperationalError("the watcher's connection is closed")
        return self._conn

    def _beat(self) -> None:
        self._connection.execute(self._sql["heartbeat"], {**self._identity, "listens": self._pulse.listens})
        self._beaten = time.monotonic()

    def _judge_noted(self) -> bool:
        """Judge the events there are; true where the rest of the look must wait for what came of them to be sent."""
        while True:
            with gc_paused():
                judged = evaluate_events(self._connection, self._settings)
            if not judged.events:
                return False
            self._pulse.events += judged.events
            self._pulse.alerts += judged.alerts
            if judged.alerts and self._delivers:
                self._look_again = time.monotonic() + (_BREATHER if judged.events < BATCH else 0)
                return True

    def _steps(self) -> Iterator[int]:
        """What is due by the clock, then what is left of the sweep or a new one, in batches: the alerts of each."""
        with gc_paused():
            due = evaluate_due(self._connection, self._settings)
        yield due.alerts
        now = time.monotonic()
        if self._round is None and now - self._swept >= self._settings.sweep_interval.total_seconds():
            self._round, self._swept = self._sweep(self._connection), now
        while self._round is not None:
            with gc_paused():
                alerts = next(self._round, None)
            if alerts is None:
                self._round = None
            else:
                yield alerts

    def _sweep(self, conn: Connection) -> Iterator[int]:
        for judged in sweep(conn, self._settings):
            yield judged.alerts
        row = conn.execute(self._sql["check_is_owed"]).fetchone()
        if row is not None and row[0]:  # the hourly check, success rates counted, where no DAG makes it
            for checked in full_check(conn, self._settings):
                yield checked.alerts
            keep_up(conn)
        conn.execute(self._sql["forget_stale"])
        seal_days(conn, most=_SEALING)

    def _due(self) -> bool:
        newest = newest_due(self._connection)
        if newest is None:
            self._told = None
            return False
        if self._delivers:
            return True
        now = time.monotonic()
        if self._told is None or newest > self._told[0]:
            if self._given_way():
                return False
            self._told = (newest, now, _WAKE_AGAIN[0])
            return True
        _, told_at, patience = self._told
        if now - told_at < patience:
            return False
        self._told = (newest, now, min(patience * 2, _WAKE_AGAIN[1]))
        return True

    def _given_way(self) -> bool:
        """Whether a process that delivers by itself took them, once it was given the moment it needs."""
        row = self._connection.execute(self._sql["delivering_elsewhere"], self._identity).fetchone()
        if row is None or not row[0]:
            return False
        deadline = time.monotonic() + _GIVE_WAY
        while time.monotonic() < deadline:
            time.sleep(0.02)
            if newest_due(self._connection) is None:
                return True
        return False
