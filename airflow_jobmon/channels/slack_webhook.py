"""Slack's incoming webhooks: connection type `slackwebhook`.

Airflow's hook finds the address; this module posts the bytes itself, since slack_sdk encodes them again, follows
redirects and cannot limit the time of a whole request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import AirflowConnection, hook_for
from airflow_jobmon.channels.slack_message import slack_message
from airflow_jobmon.channels.slack_report import slack_report
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.errors import ConfigurationError, DeliveryError
from airflow_jobmon.http.client import open_session, post
from airflow_jobmon.http.status import check_status

if TYPE_CHECKING:
    from airflow.sdk import Connection

JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class SlackWebhookChannel:
    """Posts to one incoming webhook, which belongs to one Slack channel.

    Opening raises ConfigurationError if the connection holds no webhook.
    """

    def __init__(self, conn_id: str, *, name: str | None = None, connection: Connection | None = None) -> None:
        self.name = name or conn_id
        self._connection = AirflowConnection(conn_id, connection)
        self._address()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:  # noqa: ARG002 - Slack has no idempotency key
        return json.dumps(slack_message(alerts)).encode("ascii")

    def render_report(self, report: Report, *, key: UUID) -> bytes:  # noqa: ARG002 - Slack has no idempotency key
        return json.dumps(slack_report(report)).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002
        url, proxy = self._address()
        response = post(open_session(proxy=proxy), url, body, headers=JSON_HEADERS, timeout=timeout)
        check_status(response, advice=f"create a new webhook in Slack and put it in connection {self.name!r}")
        if response.body.lstrip().startswith("<"):
            raise DeliveryError(
                f"{response.host} answered {response.status} with a web page, not Slack's `ok`; "
                f"check that connection {self.name!r} holds the address of a webhook, and that no proxy intercepts it"
            )
        return Accepted()

    def _address(self) -> tuple[str, str | None]:
        connection = self._connection.get()
        where = f"connection {self._connection.conn_id!r}"
        if not (connection.password or "").strip():
            raise ConfigurationError(f"{where} has no password; put the webhook's URL (or its token) there")
        hook = hook_for(SlackWebhookHook, connection, slack_webhook_conn_id=self._connection.conn_id)
        url = str(hook.client.url)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"{where} is not a valid HTTP address; put the webhook's whole URL in the password"
            )
        return url, self._connection.extra().get("proxy") or None
