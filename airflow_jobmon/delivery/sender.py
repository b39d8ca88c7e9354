"""Delivers what is due: one thread and one connection per channel, so that a hanging channel delays no other.

At least once: a message's bytes are stored before the first sending, sent outside any transaction, and marked
afterwards; a crash in between costs one repeat, under the same key.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from airflow_jobmon.channels import Accepted, Channel
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.rules.alert_factory import undelivered_alert
from airflow_jobmon.core.rules.backoff import LONGEST, backoff
from airflow_jobmon.errors import ConnectionProblem, DeliveryError
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.outbox import Leased, Outbox, RenderFailed, register_channels

log = logging.getLogger(__name__)

SEND_TIMEOUT = 12.0
"""Seconds one sending may take, well within the lease."""

PATIENCE = 3.0
"""Seconds a one-off delivery waits for what comes due next, before it leaves the rest to the next one."""

MOST_PARTIAL_ATTEMPTS = 300
"""About a day of retries for recipients that are refused for now, after which the others' having it is enough."""

_LONGEST_ERROR = 500


@dataclass(slots=True)
class DeliveryReport:
    """What was done, in messages, by channel.

    `alerts` counts the alerts in those that were sent; `unopened` are channels that could not even be opened, and why.
    """

    sent: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    unopened: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "alerts": self.alerts,
            "failed": self.failed,
            "dead": self.dead,
            "errors": self.errors,
            "unopened": self.unopened,
        }


class ChannelDelivery:
    """Sends one channel's messages, one after the other."""

    def __init__(self, channel: Channel, others: tuple[str, ...], report: DeliveryReport, holder: UUID) -> None:
        self._channel = channel
        self._others = others
        self._report = report
        self._holder = holder

    def send_next(self, conn: psycopg.Connection[Any], *, gather: bool = False) -> bool:
        """Send one message that is due; False when there was none, or where it is to `gather` more first."""
        name = self._channel.name
        outbox = Outbox(conn, name, self._holder)
        try:
            message = outbox.lease(lambda alerts, key: self._channel.render(alerts, key=key), gather=gather)
        except RenderFailed as failure:
            self._bury(conn, outbox, failure)
            return True
        if message is None:
            return False
        try:
            accepted = self._channel.send(message.body, key=message.id, timeout=SEND_TIMEOUT, only=message.only)
        except DeliveryError as error:
            self._refused(conn, outbox, message, error)
        except Exception as error:  # noqa: BLE001 - whatever a hook raises, the alert stays and is tried again
            self._refused(conn, outbox, message, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            self._accepted(outbox, message, accepted)
        return True

    def _accepted(self, outbox: Outbox, message: Leased, accepted: Accepted) -> None:
        name = self._channel.name
        notes = "; ".join(f"{who}: {why}" for who, why in (*accepted.refused.items(), *accepted.retry.items()))
        if notes:
            log.warning("channel %s: message %s was refused by %s", name, message.id, notes)
        if accepted.retry:
            wait = backoff(message.attempts, jitter=random.random())  # noqa: S311 - jitter needs no secrecy
            if message.attempts < MOST_PARTIAL_ATTEMPTS:
                outbox.mark_partly_sent(message, list(accepted.retry), _short(f"refused: {notes}"), wait)
                return
        if not outbox.mark_sent(message, _short(f"refused: {notes}") if notes else None):
            log.warning("channel %s: message %s was sent, but its lease had been taken over", name, message.id)
        self._count(self._report.sent)
        self._report.alerts[name] = self._report.alerts.get(name, 0) + message.alerts
        log.info("channel %s: sent message %s with %d alert(s)", name, message.id, message.alerts)

    def _refused(self, conn: psycopg.Connection[Any], outbox: Outbox, message: Leased, error: DeliveryError) -> None:
        text = _short(str(error))
        if error.permanent and message.only is not None:
            # The others have it, so it was delivered; those who refuse it for good are noted.
            log.error(
                "channel %s: message %s is refused for good by %s: %s",
                self._channel.name,
                message.id,
                ", ".join(message.only),
                text,
            )
            outbox.mark_sent(message, text)
            self._count(self._report.sent)
            return
        if error.permanent:
            log.error("channel %s refuses message %s for good: %s", self._channel.name, message.id, text)
            with conn.transaction():
                self._dead(conn, outbox, outbox.mark_dead(message, text), text)
            return
        self._count(self._report.failed, text)
        jitter = random.random()  # noqa: S311 - jitter needs no secrecy
        pause = backoff(message.failures + 1, jitter=jitter)
        if error.retry_after is not None:
            pause = max(timedelta(seconds=error.retry_after), timedelta(0))
        log.warning("channel %s: %s; next try in %.1f s", self._channel.name, text, pause.total_seconds())
        if error.rejected and message.only is None:
            outbox.mark_rejected(message, text, pause)
        else:
            outbox.mark_retry(message, text, max(pause, backoff(message.attempts, jitter=jitter)), pause)

    def _bury(self, conn: psycopg.Connection[Any], outbox: Outbox, failure: RenderFailed) -> None:
        """One alert that no message can be made of must not take the rest of its batch with it."""
        culprits = [alert for alert in failure.alerts if not self._can_render(alert)] or failure.alerts
        text = _short(f"cannot be rendered: {failure}")
        log.error("channel %s: alerts %s: %s", self._channel.name, [alert.id for alert in culprits], text)
        dead = [(alert.job_name, alert.id) for alert in culprits if alert.id is not None]
        with conn.transaction():
            outbox.bury([alert_id for _, alert_id in dead], text)
            self._dead(conn, outbox, dead, text)

    def _can_render(self, alert: Alert) -> bool:
        try:
            self._channel.render([alert], key=uuid4())
        except Exception:  # noqa: BLE001 - whatever it raises, it cannot be rendered
            return False
        return True

    def _dead(self, conn: psycopg.Connection[Any], outbox: Outbox, dead: Sequence[tuple[str, int]], error: str) -> None:
        """These alerts will not arrive here; say so elsewhere, once."""
        self._count(self._report.dead, error)
        if not dead:
            return
        outbox.silence_resolutions([alert_id for _, alert_id in dead])
        others = [name for name in self._others if name != self._channel.name] or outbox.other_channels()
        if others and outbox.claim_death():
            alert = undelivered_alert(self._channel.name, error, dead[0][0], datetime.now(UTC))
            IncidentRepository(conn).insert_alerts([AddressedAlert(alert, None, others)])

    def _count(self, counts: dict[str, int], error: str | None = None) -> None:
        name = self._channel.name
        counts[name] = counts.get(name, 0) + 1
        if error is not None:
            self._report.errors[name] = error


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def deliver_due(conninfo: str, channels: Mapping[str, Channel], *, patience: float = PATIENCE) -> DeliveryReport:
    """Send everything that is due on these channels, and what comes due within `patience` seconds; then return.

    A channel's failure is not an error here: it is counted in the report and tried again when its time comes. Raises
    ConnectionProblem or psycopg.Error when the database is away.
    """
    report, holder, names = DeliveryReport(), uuid4(), tuple(channels)
    if not channels:
        return report
    with connect(conninfo) as conn:
        register_channels(conn, names)

    def drain(channel: Channel) -> None:
        delivery = ChannelDelivery(channel, names, report, holder)
        with connect(conninfo) as conn:
            outbox, pause = Outbox(conn, channel.name, holder), threading.Event()
            while True:
                while delivery.send_next(conn):
                    pass
                wait = outbox.next_moment()
                if wait is None or wait > patience:
                    return
                pause.wait(max(wait, 0.02))

    with ThreadPoolExecutor(max_workers=len(channels), thread_name_prefix="jobmon-deliver") as pool:
        for done in [pool.submit(drain, channel) for channel in channels.values()]:
            done.result()
    return report


class DeliveryService:
    """Delivers until stopped: what `airflow jobmon listen` runs beside its watcher."""

    def __init__(self, conninfo: str, channels: Mapping[str, Channel], *, prepare: Callable[[], bool]) -> None:
        """`prepare` tells whether statements may be prepared, which a transaction pooler does not bear."""
        self._conninfo = conninfo
        self._channels = dict(channels)
        self._prepare = prepare
        self._stopping = threading.Event()
        self._wakes = {name: threading.Event() for name in channels}
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=f"jobmon-deliver-{name}", daemon=True)
            for name, channel in self._channels.items()
        ]
        self.report = DeliveryReport()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look now; called whenever alerts may have come due."""
        for event in self._wakes.values():
            event.set()

    def stop(self, timeout: float) -> None:
        """Finish the messages being sent, at most `timeout` seconds each, and end."""
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
                wait = backoff(failures, jitter=random.random(), longest=min(LONGEST, timedelta(seconds=15)))  # noqa: S311
                away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | ConnectionProblem)
                log.warning(
                    "channel %s: the database %s (%s); next try in %.1f s",
                    channel.name,
                    "is away" if away else "refuses what delivering takes",
                    str(error).splitlines()[0],
                    wait.total_seconds(),
                )
                self._stopping.wait(wait.total_seconds())

    def _deliver(self, conn: psycopg.Connection[Any], channel: Channel) -> None:
        holder = uuid4()
        delivery = ChannelDelivery(channel, tuple(self._channels), self.report, holder)
        outbox, wake = Outbox(conn, channel.name, holder), self._wakes[channel.name]
        while not self._stopping.is_set():
            wake.clear()
            while not self._stopping.is_set() and delivery.send_next(conn, gather=True):
                pass
            wait = outbox.next_moment()
            wake.wait(30.0 if wait is None else min(max(wait, 0.02), 30.0))
