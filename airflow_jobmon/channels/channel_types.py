"""Which channel a connection opens: its type decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_jobmon.channels import Channel
from airflow_jobmon.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

ChannelFactory = Callable[..., Channel]
"""A channel's class: takes the connection's id, and `connection` to save a lookup."""


# Each imports its channel when one is opened: Airflow's hooks and requests load in a second or more.


def _slack_webhook() -> ChannelFactory:
    from airflow_jobmon.channels.slack_webhook import SlackWebhookChannel  # noqa: PLC0415

    return SlackWebhookChannel


def _slack_api() -> ChannelFactory:
    from airflow_jobmon.channels.slack_api import SlackApiChannel  # noqa: PLC0415

    return SlackApiChannel


def _email() -> ChannelFactory:
    from airflow_jobmon.channels.email import EmailChannel  # noqa: PLC0415

    return EmailChannel


def _resend() -> ChannelFactory:
    from airflow_jobmon.channels.resend import ResendChannel  # noqa: PLC0415

    return ResendChannel


def _webhook() -> ChannelFactory:
    from airflow_jobmon.channels.webhook import WebhookChannel  # noqa: PLC0415

    return WebhookChannel


CHANNEL_TYPES: dict[str, Callable[[], ChannelFactory]] = {
    "slackwebhook": _slack_webhook,
    "slack": _slack_api,
    "smtp": _email,
    "resend": _resend,
    "http": _webhook,
}
"""Connection type to its channel."""


def channel_for(connection: Connection) -> Channel:
    """The channel of an Airflow connection, checked and ready; its name is the connection's id.

    Raises ConfigurationError for a type without a channel, and for a field that the channel needs and lacks.
    """
    load = CHANNEL_TYPES.get(connection.conn_type or "")
    if load is None:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} has type {connection.conn_type!r}, which is not a channel type; "
            f"use one of {', '.join(CHANNEL_TYPES)}"
        )
    return load()(connection.conn_id, connection=connection)
