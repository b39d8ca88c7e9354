"""JobSlackNotifier: Slack, by webhook or bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_jobmon.notifiers.job_notifier import JobNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_jobmon.channels import Channel


class JobSlackNotifier(JobNotifier):
    """Slack, by an incoming webhook (connection type `slackwebhook`) or by a bot (`slack`).

    :param channel: the Slack channel, for a connection of type `slack`; overrides the connection's extra `channel`.
    """

    default_conn_id = "slackwebhook_default"

    def __init__(self, conn_id: str | None = None, *, channel: str | None = None, **kwargs: Any) -> None:
        super().__init__(conn_id, **kwargs)
        self.slack_channel = channel

    def _open(self, connection: Connection) -> Channel:
        from airflow_jobmon.channels.slack_api import SlackApiChannel  # noqa: PLC0415 - not at parse time
        from airflow_jobmon.channels.slack_webhook import SlackWebhookChannel  # noqa: PLC0415
        from airflow_jobmon.errors import ConfigurationError  # noqa: PLC0415

        if connection.conn_type == "slack":
            return SlackApiChannel(self.conn_id, name=self.name, channel=self.slack_channel, connection=connection)
        if self.slack_channel:
            raise ConfigurationError(
                f"channel={self.slack_channel!r} needs a connection of type 'slack'; {self.conn_id!r} is "
                f"{connection.conn_type!r}, and a webhook always posts to the channel it was created for"
            )
        return SlackWebhookChannel(self.conn_id, name=self.name, connection=connection)
