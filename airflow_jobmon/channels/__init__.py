"""Where alerts go: one file per kind of channel, all behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

CHANNEL_TYPES = {
    "slackwebhook": ("slack_webhook", "SlackWebhookChannel"),
    "slack": ("slack_api", "SlackApiChannel"),
    "smtp": ("email", "EmailChannel"),
    "resend": ("resend", "ResendChannel"),
    "http": ("webhook", "WebhookChannel"),
}
"""Connection type to the module and class behind it, imported when one is opened."""


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

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:
        """Send once, with no retry of its own, in at most `timeout` seconds; `only` narrows the recipients.

        Raises DeliveryError (rejected or not, retry_after) or PermanentDeliveryError; any other exception is
        taken for a temporary one.
        """
        ...


def channel_for(connection: Connection, *, name: str | None = None) -> Channel:
    """The channel for an Airflow connection, checked and ready; its name is the connection's id unless given.

    Raises ConfigurationError for a type that is no channel and for what the channel misses in the connection.
    """
    found = CHANNEL_TYPES.get(connection.conn_type or "")
    if found is None:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} has type {connection.conn_type!r}, which is no channel; "
            f"use one of {', '.join(CHANNEL_TYPES)}"
        )
    module, class_name = found
    channel_class = getattr(import_module(f"airflow_jobmon.channels.{module}"), class_name)
    channel: Channel = channel_class(connection.conn_id, name=name, connection=connection)
    return channel
