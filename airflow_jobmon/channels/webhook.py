"""Alerts as JSON to any HTTP endpoint: connection type `http`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from airflow.providers.http.hooks.http import HttpHook

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import AirflowConnection, hook_for
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.rendering import messages
from airflow_jobmon.core.rendering.report_text import report_text, report_title
from airflow_jobmon.core.text import plain_json
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.http.client import post
from airflow_jobmon.http.status import check_status

if TYPE_CHECKING:
    import requests
    from airflow.sdk import Connection

FORMAT_VERSION = 1
"""Consumers may rely on every field of a version; a version may gain fields."""

_ERROR = 2_000
_TEXT = 1_000


class WebhookChannel:
    """POSTs one JSON object per message, with the message's key as Idempotency-Key.

    The connection's login and password become Basic authentication and its extra becomes headers, as in any Airflow
    http connection. Opening raises ConfigurationError if the connection does not form a valid address.
    """

    def __init__(self, conn_id: str, *, name: str | None = None, connection: Connection | None = None) -> None:
        self.name = name or conn_id
        self._connection = AirflowConnection(conn_id, connection)
        self._open()[1].close()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        """All alerts; only long texts are cut; `text` is for people, `alerts` for machines."""
        message = {
            "version": FORMAT_VERSION,
            "key": str(key),
            "title": messages.title(alerts, 200),
            "text": messages.plain_text(alerts, error_limit=_ERROR),
            "alerts": [_alert_json(alert) for alert in alerts],
        }
        return json.dumps(message).encode("ascii")

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        """The report; only long texts are cut; `text` is for people, `report` for machines."""
        message = {
            "version": FORMAT_VERSION,
            "key": str(key),
            "title": report_title(report, 200),
            "text": report_text(report, most_rows=200),
            "report": _plain(report.as_json()),
        }
        return json.dumps(message).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002
        url, session = self._open()
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(key)}
        response = post(session, url, body, headers=headers, timeout=timeout)
        check_status(response, advice=f"check the address and credentials of connection {self.name!r}")
        return Accepted()

    def _open(self) -> tuple[str, requests.Session]:
        connection = self._connection.get()
        hook = hook_for(HttpHook, connection, method="POST", http_conn_id=self._connection.conn_id)
        try:
            session: requests.Session = hook.get_conn()
            url = str(hook.base_url)
            parts = urlsplit(url)
            usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable or parts.scheme not in {"http", "https"}:
            raise ConfigurationError(
                f"connection {self._connection.conn_id!r} does not form a valid HTTP address; "
                "put the whole URL in host, like https://example.com/alerts, and leave schema and port empty"
            )
        return url, session


def _plain(value: Any) -> Any:
    """Mask and cut every text in it; leave everything else unchanged."""
    if isinstance(value, str):
        return plain_json(value, _TEXT)
    if isinstance(value, dict):
        return {plain_json(str(name), _TEXT): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _alert_json(alert: Alert) -> dict[str, Any]:
    """The alert, names unescaped so that they can be compared; secrets masked, long texts cut."""
    fields = alert.as_json()
    fields["job_name"] = plain_json(alert.job_name, _TEXT)
    fields["message"] = plain_json(alert.message, _TEXT)
    fields["error"] = plain_json(alert.error, _ERROR) if alert.error is not None else None
    fields["facts"] = [[plain_json(label, _TEXT), plain_json(value, _TEXT)] for label, value in alert.facts]
    fields["title"] = messages.title([alert], 200)
    for link in ("logs_url", "runbook_url"):
        fields[link] = fields[link] if fields[link] and messages.is_link(fields[link]) else None
    return fields
