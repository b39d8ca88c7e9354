"""Sends the messages of one channel, and records in the outbox what became of each.

Delivery is at least once: the bytes of a message are stored before it is first sent, sent outside any transaction, and
marked as sent afterwards. A crash in between costs one repeat, under the same key.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from airflow_jobmon.channels import Accepted, Channel
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.rules.alert_factory import undelivered_alert
from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.errors import DeliveryError
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.outbox import LeasedMessage, Outbox, RenderFailed

log = logging.getLogger(__name__)

SEND_TIMEOUT = 12.0
"""Seconds that sending one message may take, well within its lease."""

_MOST_PARTIAL_ATTEMPTS = 300
"""About a day of retries for recipients that the server refuses for now; then the message counts as sent."""

_LONGEST_ERROR = 500


@dataclass(slots=True)
class DeliveryResult:
    """The messages of a delivery, counted by channel.

    alerts: the alerts in the messages that were sent. errors: the last error. unopened: channels that could not be
    opened, and why.
    """

    sent: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    unopened: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class ChannelSender:
    """Sends the messages of one channel, one after the other.

    others: the other channels of this process; they are notified when this one rejects an alert for good.
    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        channel: Channel,
        *,
        others: Sequence[str],
        holder: UUID,
        result: DeliveryResult,
    ) -> None:
        self._conn = conn
        self._channel = channel
        self._name = channel.name
        self._others = [name for name in others if name != channel.name]
        self._result = result
        self._outbox = Outbox(conn, channel.name, holder)

    def seconds_until_next(self) -> float | None:
        """Seconds until a message may be sent, 0 for now; None while nothing is pending."""
        return self._outbox.seconds_until_due()

    def send_next(self, *, gather: bool = False) -> bool:
        """Send one message that is due; false if there is none, or if `gather` lets a burst grow first."""
        try:
            message = self._outbox.lease(lambda alerts, key: self._channel.render(alerts, key=key), gather=gather)
        except RenderFailed as failure:
            self._discard_unrenderable(failure)
            return True
        if message is None:
            return False
        try:
            accepted = self._channel.send(message.body, key=message.id, timeout=SEND_TIMEOUT, only=message.only)
        except DeliveryError as error:
            self._handle_error(message, error)
        except Exception as error:  # noqa: BLE001 - whatever a channel raises, its alert is sent again
            self._handle_error(message, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            self._handle_accepted(message, accepted)
        return True

    def _handle_accepted(self, message: LeasedMessage, accepted: Accepted) -> None:
        refusals = "; ".join(f"{who}: {why}" for who, why in (*accepted.refused.items(), *accepted.retry.items()))
        if refusals:
            log.warning("channel %s: message %s was refused by %s", self._name, message.id, refusals)
        if accepted.retry and message.attempts < _MOST_PARTIAL_ATTEMPTS:
            wait = backoff(message.attempts, jitter=_jitter())
            self._outbox.mark_partly_sent(message, list(accepted.retry), _short(f"refused: {refusals}"), wait)
            return
        if not self._outbox.mark_sent(message, _short(f"refused: {refusals}") if refusals else None):
            log.warning("channel %s: message %s was sent, but its lease had been taken over", self._name, message.id)
        self._count(self._result.sent)
        self._result.alerts[self._name] = self._result.alerts.get(self._name, 0) + message.alerts
        log.info("channel %s: sent message %s with %d alert(s)", self._name, message.id, message.alerts)

    def _handle_error(self, message: LeasedMessage, error: DeliveryError) -> None:
        if not error.permanent:
            self._retry_later(message, error)
        elif message.only is None:
            self._give_up(message, _short(str(error)))
        else:
            self._give_up_on_recipients(message, message.only, _short(str(error)))

    def _retry_later(self, message: LeasedMessage, error: DeliveryError) -> None:
        text, jitter = _short(str(error)), _jitter()
        self._count(self._result.failed, text)
        pause = backoff(message.failures + 1, jitter=jitter)
        if error.retry_after is not None:
            pause = max(timedelta(seconds=error.retry_after), timedelta(0))
        log.warning("channel %s: %s; next attempt in %.1f s", self._name, text, pause.total_seconds())
        if error.rejected and message.only is None:
            self._outbox.mark_rejected(message, text, pause)
        else:
            self._outbox.mark_retry(message, text, max(pause, backoff(message.attempts, jitter=jitter)), pause)

    def _give_up(self, message: LeasedMessage, error: str) -> None:
        log.error("channel %s refuses message %s for good: %s", self._name, message.id, error)
        with self._conn.transaction():
            self._record_dead(self._outbox.mark_dead(message, error), error)

    def _give_up_on_recipients(self, message: LeasedMessage, recipients: Sequence[str], error: str) -> None:
        """These recipients refuse for good what the others have: the message counts as sent, with the error."""
        log.error(
            "channel %s: message %s is refused for good by %s: %s", self._name, message.id, ", ".join(recipients), error
        )
        self._outbox.mark_sent(message, error)
        self._count(self._result.sent)

    def _discard_unrenderable(self, failure: RenderFailed) -> None:
        """Mark the alerts that cannot be rendered as dead; the rest of their batch is sent."""
        unrenderable = [alert for alert in failure.alerts if not self._can_render(alert)] or failure.alerts
        error = _short(f"cannot be rendered: {failure}")
        log.error("channel %s: alerts %s: %s", self._name, [alert.id for alert in unrenderable], error)
        dead = [(alert.job_name, alert.id) for alert in unrenderable if alert.id is not None]
        with self._conn.transaction():
            self._outbox.mark_unrenderable([alert_id for _, alert_id in dead], error)
            self._record_dead(dead, error)

    def _can_render(self, alert: Alert) -> bool:
        try:
            self._channel.render([alert], key=uuid4())
        except Exception:  # noqa: BLE001 - whatever it raises, it cannot be rendered
            return False
        return True

    def _record_dead(self, dead: Sequence[tuple[str, int]], error: str) -> None:
        """Silence the resolutions of these (job name, alert id) pairs here, and notify other channels, once."""
        self._count(self._result.dead, error)
        if not dead:
            return
        self._outbox.silence_resolutions([alert_id for _, alert_id in dead])
        others = self._others or self._outbox.other_channels()
        if others and self._outbox.claim_dead_channel():
            alert = undelivered_alert(self._name, error, dead[0][0], datetime.now(UTC))
            IncidentRepository(self._conn).insert_alerts([AddressedAlert(alert, None, others)])

    def _count(self, counts: dict[str, int], error: str | None = None) -> None:
        counts[self._name] = counts.get(self._name, 0) + 1
        if error is not None:
            self._result.errors[self._name] = error


def _jitter() -> float:
    return random.random()  # noqa: S311 - jitter needs no secrecy


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"
