"""Email through Resend's HTTP API: our connection type `resend`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import AirflowConnection, hook_for
from airflow_jobmon.channels.email_message import EmailContent, alert_email, domain_of, read_addresses, read_sender
from airflow_jobmon.channels.email_report import report_email
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.errors import ConfigurationError, PermanentDeliveryError
from airflow_jobmon.hooks import ResendHook
from airflow_jobmon.http.client import open_session, post
from airflow_jobmon.http.status import check_status

if TYPE_CHECKING:
    from airflow.sdk import Connection

_MOST_RECIPIENTS = 50
_KEY_REUSED = "invalid_idempotent_request"


class ResendChannel:
    """Sends one email to all recipients; the idempotency key makes a repeat within 24 h harmless.

    `to` and `from_email` override the connection's extras. Opening raises ConfigurationError if one of them or the API
    key is missing.
    """

    def __init__(
        self,
        conn_id: str,
        *,
        name: str | None = None,
        to: str | Sequence[str] | None = None,
        from_email: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.name = name or conn_id
        self._connection = AirflowConnection(conn_id, connection)
        extra = self._connection.extra()
        where = f"connection {conn_id!r}"
        self.to = read_addresses(to or extra.get("to"), where=where, field="to")
        self.from_email = read_sender(from_email or extra.get("from_email"), where=where, field="from_email")
        if len(self.to) > _MOST_RECIPIENTS:
            raise ConfigurationError(
                f"{where}: 'to' has {len(self.to)} addresses, Resend accepts {_MOST_RECIPIENTS} at most; "
                "use a mailing list"
            )
        self._address()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        return self._mail(alert_email(alerts), key)

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        return self._mail(report_email(report), key)

    def _mail(self, content: EmailContent, key: UUID) -> bytes:
        mail = {
            "from": self.from_email,
            "to": list(self.to),
            "subject": content.subject,
            "html": content.html,
            "text": content.text,
            "headers": {"Message-ID": f"<{key}@{domain_of(self.from_email)}>", "Auto-Submitted": "auto-generated"},
        }
        return json.dumps(mail).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002
        base_url, api_key = self._address()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {api_key}",
            "Idempotency-Key": str(key),
        }
        response = post(open_session(), f"{base_url}/emails", body, headers=headers, timeout=timeout)
        if response.status == 409 and _KEY_REUSED in response.body:
            raise PermanentDeliveryError(
                f"{response.summary}; the key of this message was already used for another one"
            )
        check_status(response, advice=f"check the API key, sender and recipients of connection {self.name!r}")
        return Accepted()

    def _address(self) -> tuple[str, str]:
        hook: Any = hook_for(ResendHook, self._connection.get(), resend_conn_id=self._connection.conn_id)
        return hook.get_conn()  # type: ignore[no-any-return]
