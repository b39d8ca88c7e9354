"""JobResendNotifier: email through Resend's HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_jobmon.notifiers.email import JobEmailNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_jobmon.channels import Channel


class JobResendNotifier(JobEmailNotifier):
    """Email through Resend's HTTP API; the parameters of JobEmailNotifier."""

    default_conn_id = "resend_default"

    def _open(self, connection: Connection) -> Channel:
        from airflow_jobmon.channels.resend import ResendChannel  # noqa: PLC0415 - not at parse time

        return ResendChannel(
            self.conn_id, name=self.name, to=self.to, from_email=self.from_email, connection=connection
        )
