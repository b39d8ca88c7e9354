"""JobWebhookNotifier: one JSON object by HTTP POST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_jobmon.notifiers.job_notifier import JobNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_jobmon.channels import Channel


class JobWebhookNotifier(JobNotifier):
    """One JSON object by HTTP POST, to a connection of type `http`."""

    default_conn_id = "http_default"

    def _open(self, connection: Connection) -> Channel:
        from airflow_jobmon.channels.webhook import WebhookChannel  # noqa: PLC0415 - not at parse time

        return WebhookChannel(self.conn_id, name=self.name, connection=connection)
