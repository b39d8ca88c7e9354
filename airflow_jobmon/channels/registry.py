"""Which channel a connection is: its type decides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from airflow_jobmon.channels import Channel
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


def channel_for(connection: Connection) -> Channel:
    """The channel for an Airflow connection, checked and ready; its name is the connection's id.

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
    channel: Channel = channel_class(connection.conn_id, connection=connection)
    return channel
