"""Where alerts go: one file per type of channel, all behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel's server accepted the message.

    refused: recipients it rejected for good, with the server's words. retry: recipients it rejected for now; the same
    bytes are sent again to these only.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    retry: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """One destination of alerts; `name` is its Airflow connection id, or the name given to a notifier.

    One thread at a time uses a channel, and it keeps no state that a message needs.
    """

    name: str

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        """The exact bytes to send for these alerts: one message, within the sink's limits. Pure."""
        ...

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        """The exact bytes to send for a report, cut to the sink's limits. Pure."""
        ...

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:
        """Send once, without a retry of its own, in at most `timeout` seconds; `only` narrows the recipients.

        Raises DeliveryError (rejected or not, retry_after) or PermanentDeliveryError; any other exception counts
        as temporary.
        """
        ...
