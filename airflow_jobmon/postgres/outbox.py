"""The outbox: leases messages, stores what they hold before the first sending, marks what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.postgres.pipeline import transaction
from airflow_jobmon.postgres.queries import load_queries

LEASE = timedelta(seconds=20)
"""Past this, a holder is taken for dead and another one sends the same bytes; sending must take less."""

BURST = 5
"""More alerts than this due at the same moment on a channel become one message."""

BREATH = timedelta(seconds=1)
"""After a burst a channel pauses this long, so that what keeps coming gathers into few messages."""

EBB = timedelta(milliseconds=200)
"""A burst that still grew so lately is waited for, though no longer than a breath, so that it is one message."""

LARGEST_BATCH = 2500


@dataclass(frozen=True, slots=True)
class Leased:
    """One message to send now. `only` narrows its recipients; `attempts` counts this one."""

    id: UUID
    body: bytes
    only: tuple[str, ...] | None
    attempts: int
    alerts: int
    failures: int


class Outbox:
    """One channel's deliveries, as one deliverer (`holder`) sees them."""

    def __init__(self, conn: psycopg.Connection[Any], channel: str, holder: UUID) -> None:
        self._conn = conn
        self._channel = channel
        self._holder = holder
        self._sql = load_queries("outbox")

    def lease(self, render: Callable[[Sequence[Alert], UUID], bytes], *, gather: bool = False) -> Leased | None:
        """Take the next message: a stored one whose turn it is, or a new one of what is due; None: nothing is.

        To `gather` is to let a burst grow first, for who will be there a moment later too.
        """
        given = {"channel": self._channel, "holder": self._holder, "lease": LEASE, "limit": LARGEST_BATCH}
        with transaction(self._conn) as sync:
            lock, stored, due = (
                self._conn.execute(self._sql[query], given) for query in ("lock_channel", "lease_message", "due_alerts")
            )
            sync()
            free = lock.fetchone()
            if free is None:
                return None
            if (taken := stored.fetchone()) is not None:
                message_id, body, only, attempts, count, _ = taken
                return Leased(message_id, body, tuple(only) if only else None, attempts, count, free[0])
            found = due.fetchall()
            if not found:
                return None
            if gather and len(found) > BURST and _grows([age for *_, age in found]):
                self._execute("pause_channel", pause=EBB)
                return None
            due_now = found if len(found) > BURST else found[:1]
            return self._store([(alert_id, details) for alert_id, details, _ in due_now], render, free[0])

    def _store(
        self, due: Sequence[tuple[int, dict[str, Any]]], render: Callable[[Sequence[Alert], UUID], bytes], failures: int
    ) -> Leased:
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
            self._execute("pause_channel", pause=BREATH)
        return Leased(key, body, None, 1, len(due), failures)

    def mark_sent(self, message: Leased, error: str | None = None) -> bool:
        """False where the lease was lost meanwhile, so that whoever took it over decides."""
        return self._mark("mark_sent", message, error=error) > 0

    def mark_partly_sent(self, message: Leased, recipients: Sequence[str], error: str, wait: timedelta) -> bool:
        return self._mark("mark_partly_sent", message, recipients=list(recipients), error=error, wait=wait) > 0

    def mark_retry(self, message: Leased, error: str, wait: timedelta, pause: timedelta) -> bool:
        return self._mark("mark_retry", message, error=error, wait=wait, pause=pause) > 0

    def mark_rejected(self, message: Leased, error: str, wait: timedelta) -> bool:
        return self._mark("mark_rejected", message, error=error, wait=wait, pause=wait) > 0

    def mark_dead(self, message: Leased, error: str) -> list[tuple[str, int]]:
        """The (job name, alert id) pairs that will not arrive here."""
        given = {"id": message.id, "holder": self._holder, "error": error}
        return self._conn.execute(self._sql["mark_dead"], given).fetchall()

    def silence_resolutions(self, alert_ids: Sequence[int]) -> None:
        """Of incidents that nobody here was told of, now that these alerts about them are dead."""
        self._execute("silence_resolutions", alert_ids=list(alert_ids))

    def other_channels(self) -> list[str]:
        """Channels besides this one that took an alert lately."""
        given = {"channel": self._channel}
        return [name for (name,) in self._conn.execute(self._sql["other_channels"], given)]

    def claim_death(self) -> bool:
        """Whether it is ours to tell the other channels that this one is dead."""
        return self._execute("claim_dead_channel") > 0

    def bury(self, alert_ids: Sequence[int], error: str) -> None:
        self._execute("bury", alert_ids=list(alert_ids), error=error)

    def next_moment(self) -> float | None:
        """Seconds until something may be sent here, 0 for now; None while nothing is pending."""
        row = self._conn.execute(self._sql["next_moment"], {"channel": self._channel}).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def _mark(self, query: str, message: Leased, **values: Any) -> int:
        return self._execute(query, id=message.id, holder=self._holder, **values)

    def _execute(self, query: str, **values: Any) -> int:
        return self._conn.execute(self._sql[query], {"channel": self._channel, **values}).rowcount


class RenderFailed(Exception):
    """A channel could not make a message of these alerts."""

    def __init__(self, alerts: Sequence[Alert], cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.alerts = alerts


def _grows(ages: Sequence[timedelta]) -> bool:
    return min(ages) < EBB and max(ages) < BREATH


def register_channels(conn: psycopg.Connection[Any], names: Sequence[str], *, notifiers: Sequence[str] = ()) -> None:
    """Make these channels known; those given as notifiers have alerts addressed to them from now on."""
    sql = load_queries("outbox")
    conn.execute(sql["ensure_channels"], {"names": list(names)})
    if notifiers:
        conn.execute(sql["ensure_notifiers"], {"names": list(notifiers)})


def addressed_channels(conn: psycopg.Connection[Any]) -> set[str]:
    """Names of channels that have something pending or that a job names for itself, configured or not."""
    return {name for (name,) in conn.execute(load_queries("outbox")["addressed_channels"])}


def notifier_channels(conn: psycopg.Connection[Any]) -> set[str]:
    """Names that an operator was given as notifiers lately."""
    return {name for (name,) in conn.execute(load_queries("outbox")["notifier_channels"])}


def newest_due(conn: psycopg.Connection[Any]) -> int | None:
    """The newest alert that some channel could be sent now and nobody is sending; None: there is none."""
    row = conn.execute(load_queries("outbox")["due"]).fetchone()
    return row[0] if row else None
