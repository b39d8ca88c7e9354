"""JobEmailNotifier: email over SMTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_jobmon.notifiers.job_notifier import JobNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_jobmon.channels import Channel


class JobEmailNotifier(JobNotifier):
    """Email over SMTP.

    :param to: recipients, a list or one comma-separated string; overrides the connection's extra `to`.
    :param from_email: the sender; overrides the connection's extra `from_email`.
    """

    default_conn_id = "smtp_default"

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        to: str | Sequence[str] | None = None,
        from_email: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id, **kwargs)
        self.to = to
        self.from_email = from_email

    def _open(self, connection: Connection) -> Channel:
        from airflow_jobmon.channels.email import EmailChannel  # noqa: PLC0415 - not at parse time

        return EmailChannel(self.conn_id, name=self.name, to=self.to, from_email=self.from_email, connection=connection)
