"""Where alerts go: one file per kind of channel, all behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel's server took the message.

    refused: recipients it refused for good, with the server's words. retry: recipients it refused for now; the same
    bytes are sent again to these only.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    retry: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """One place where alerts go; `name` is its Airflow connection id, or the name given to a notifier.

    A channel is used by one thread at a time and keeps no state that a message needs.
    """

    name: str

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        """The exact bytes to send for these alerts: one message, within the sink's limits. Pure."""
        ...

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        """The exact bytes to send for a report, cut to what the sink takes. Pure."""
        ...

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:
        """Send once, with no retry of its own, in at most `timeout` seconds; `only` narrows the recipients.

        Raises DeliveryError (rejected or not, retry_after) or PermanentDeliveryError; any other exception is
        taken for a temporary one.
        """
        ...
