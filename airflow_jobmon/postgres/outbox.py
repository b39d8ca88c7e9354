"""The outbox: groups due alerts into messages, stores each before it is first sent, and records the outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import namedtuple_row

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.postgres.pipeline import transaction
from airflow_jobmon.postgres.queries import load_queries

LEASE = timedelta(seconds=20)
"""After this long a holder counts as dead, and another one sends the same bytes; sending must take less."""

BURST = 5
"""Where more alerts than this are due at once on a channel, they become one message."""

BURST_PAUSE = timedelta(seconds=1)
"""How long a channel pauses after a burst, so that the alerts that follow become few messages."""

BURST_QUIET = timedelta(milliseconds=200)
"""A burst counts as over once no alert was added for this long, or after BURST_PAUSE; until then it may still grow."""

LARGEST_BATCH = 2500


@dataclass(frozen=True, slots=True)
class LeasedMessage:
    """One message to send now. only: its recipients that still lack it (None: all); attempts: this one included."""

    id: UUID
    body: bytes
    only: tuple[str, ...] | None
    attempts: int
    alerts: int
    failures: int


class Outbox:
    """The deliveries of one channel, for one deliverer, the `holder` of leases."""

    def __init__(self, conn: psycopg.Connection[Any], channel: str, holder: UUID) -> None:
        self._conn = conn
        self._channel = channel
        self._holder = holder
        self._sql = load_queries("outbox")

    def lease(self, render: Callable[[Sequence[Alert], UUID], bytes], *, gather: bool = False) -> LeasedMessage | None:
        """Lease the next message: a stored one that is due, or a new one of due alerts; None where nothing is due.

        gather: return None while a burst still grows, for a caller that asks again a moment later.
        """
        given = {"channel": self._channel, "holder": self._holder, "lease": LEASE, "limit": LARGEST_BATCH}
        with transaction(self._conn) as sync:
            lock, stored, due = (
                self._conn.cursor(row_factory=namedtuple_row).execute(self._sql[query], given)
                for query in ("lock_channel", "lease_message", "due_alerts")
            )
            sync()
            channel: Any = lock.fetchone()
            if channel is None:
                return None
            message: Any = stored.fetchone()
            if message is not None:
                only = tuple(message.recipients) if message.recipients else None
                return LeasedMessage(message.id, message.body, only, message.attempts, message.alerts, channel.failures)
            alerts: list[Any] = due.fetchall()
            if not alerts:
                return None
            if gather and len(alerts) > BURST and _still_grows([alert.age for alert in alerts]):
                self._execute("pause_channel", pause=BURST_QUIET)
                return None
            batch = alerts if len(alerts) > BURST else alerts[:1]
            return self._store([(alert.alert_id, alert.details) for alert in batch], render, channel.failures)

    def _store(
        self, due: Sequence[tuple[int, dict[str, Any]]], render: Callable[[Sequence[Alert], UUID], bytes], failures: int
    ) -> LeasedMessage:
        key = uuid4()
        alerts = [Alert.from_json(details, alert_id=alert_id) for alert_id, details in due]
        try:
            body = render(alerts, key)
        except Exception as error:
            raise RenderFailed(alerts, error) from error
        self._conn.execute(
            self._sql["store_message"],
            {
                "id": key,
                "channel": self._channel,
                "body": body,
                "holder": self._holder,
                "lease": LEASE,
                "alert_ids": [alert_id for alert_id, _ in due],
            },
        )
        if len(due) > BURST:
            self._execute("pause_channel", pause=BURST_PAUSE)
        return LeasedMessage(key, body, None, 1, len(due), failures)

    def mark_sent(self, message: LeasedMessage, error: str | None = None) -> bool:
        """False where the lease was lost meanwhile, so that its new holder decides."""
        return self._mark("mark_sent", message, error=error) > 0

    def mark_partly_sent(self, message: LeasedMessage, recipients: Sequence[str], error: str, wait: timedelta) -> bool:
        return self._mark("mark_partly_sent", message, recipients=list(recipients), error=error, wait=wait) > 0

    def mark_retry(self, message: LeasedMessage, error: str, wait: timedelta, pause: timedelta) -> bool:
        return self._mark("mark_retry", message, error=error, wait=wait, pause=pause) > 0

    def mark_rejected(self, message: LeasedMessage, error: str, wait: timedelta) -> bool:
        return self._mark("mark_rejected", message, error=error, wait=wait, pause=wait) > 0

    def mark_dead(self, message: LeasedMessage, error: str) -> list[tuple[str, int]]:
        """Returns the (job name, alert id) of the alerts that this channel will not deliver."""
        given = {"id": message.id, "holder": self._holder, "error": error}
        return self._conn.execute(self._sql["mark_dead"], given).fetchall()

    def silence_resolutions(self, alert_ids: Sequence[int]) -> None:
        """Silence the resolutions of the incidents of these dead alerts: a channel that was not notified needs none."""
        self._execute("silence_resolutions", alert_ids=list(alert_ids))

    def other_channels(self) -> list[str]:
        """The other channels that accepted an alert within 30 days."""
        given = {"channel": self._channel}
        return [name for (name,) in self._conn.execute(self._sql["other_channels"], given)]

    def claim_dead_channel(self) -> bool:
        """Whether this process is the one to notify the other channels that this one is dead."""
        return self._execute("claim_dead_channel") > 0

    def mark_unrenderable(self, alert_ids: Sequence[int], error: str) -> None:
        self._execute("mark_unrenderable", alert_ids=list(alert_ids), error=error)

    def seconds_until_due(self) -> float | None:
        """Seconds until something may be sent on this channel, 0: now; None while nothing is pending."""
        row = self._conn.execute(self._sql["seconds_until_due"], {"channel": self._channel}).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def _mark(self, query: str, message: LeasedMessage, **values: Any) -> int:
        return self._execute(query, id=message.id, holder=self._holder, **values)

    def _execute(self, query: str, **values: Any) -> int:
        return self._conn.execute(self._sql[query], {"channel": self._channel, **values}).rowcount


class RenderFailed(Exception):
    """A channel could not render these alerts as a message."""

    def __init__(self, alerts: Sequence[Alert], cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.alerts = alerts


def _still_grows(ages: Sequence[timedelta]) -> bool:
    return min(ages) < BURST_QUIET and max(ages) < BURST_PAUSE


def register_channels(conn: psycopg.Connection[Any], names: Sequence[str], *, notifiers: Sequence[str] = ()) -> None:
    """Register these channels; from now on, alerts are addressed to those that are given as notifiers."""
    sql = load_queries("outbox")
    conn.execute(sql["ensure_channels"], {"names": list(names)})
    if notifiers:
        conn.execute(sql["ensure_notifiers"], {"names": list(notifiers)})


def addressed_channels(conn: psycopg.Connection[Any]) -> set[str]:
    """The channels that have something pending or that a job has as its own, configured or not."""
    return {name for (name,) in conn.execute(load_queries("outbox")["addressed_channels"])}


def notifier_channels(conn: psycopg.Connection[Any]) -> set[str]:
    """The channels that a task had as notifiers within 30 days."""
    return {name for (name,) in conn.execute(load_queries("outbox")["notifier_channels"])}


def newest_due_alert(conn: psycopg.Connection[Any]) -> int | None:
    """The newest alert that is due on a channel and that no deliverer holds; None: there is none."""
    row = conn.execute(load_queries("outbox")["newest_due_alert"]).fetchone()
    return row[0] if row else None
