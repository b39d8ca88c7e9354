"""Slack's incoming webhooks: connection type `slackwebhook`.

Airflow's hook finds the address; the bytes are posted by us, since slack_sdk encodes them anew, follows redirects and
cannot bound a sending as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import KeptConnection, hook_on
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
    """Posts to one incoming webhook; Slack knows the Slack channel behind it.

    Opening it raises ConfigurationError where the connection holds no webhook.
    """

    def __init__(self, conn_id: str, *, name: str | None = None, connection: Connection | None = None) -> None:
        self.name = name or conn_id
        self._connection = KeptConnection(conn_id, connection)
        self._address()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:  # noqa: ARG002 - Slack takes no key
        return json.dumps(slack_message(alerts)).encode("ascii")

    def render_report(self, report: Report, *, key: UUID) -> bytes:  # noqa: ARG002 - Slack takes no key
        return json.dumps(slack_report(report)).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002

        url, proxy = self._address()
        answer = post(open_session(proxy=proxy), url, body, headers=JSON_HEADERS, timeout=timeout)
        check_status(answer, advice=f"create a new webhook in Slack and put it in connection {self.name!r}")
        if answer.body.lstrip().startswith("<"):
            raise DeliveryError(
                f"{answer.host} answered {answer.status} with a web page, not Slack's `ok`; "
                f"is the address in connection {self.name!r} that of a webhook, and is there a proxy in between?"
            )
        return Accepted()

    def _address(self) -> tuple[str, str | None]:
        connection = self._connection.get()
        where = f"connection {self._connection.conn_id!r}"
        if not (connection.password or "").strip():
            raise ConfigurationError(f"{where} has no password; put the webhook's URL (or its token) there")
        hook = hook_on(SlackWebhookHook, connection, slack_webhook_conn_id=self._connection.conn_id)
        url = str(hook.client.url)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{where} does not make an http address; put the webhook's whole URL in password")
        return url, self._connection.extra().get("proxy") or None
