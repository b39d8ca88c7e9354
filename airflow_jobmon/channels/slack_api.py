"""Slack's chat.postMessage with a bot token: connection type `slack`, extra `channel`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.providers.slack.hooks.slack import SlackHook

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import AirflowConnection, hook_for
from airflow_jobmon.channels.slack_message import slack_message
from airflow_jobmon.channels.slack_report import slack_report
from airflow_jobmon.channels.slack_webhook import JSON_HEADERS
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import ConfigurationError, DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.client import Response, open_session, post
from airflow_jobmon.http.status import check_status, retry_after

if TYPE_CHECKING:
    from airflow.sdk import Connection

_REFUSED_FOR_NOW = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org"})
_MAY_HAVE_WORKED = frozenset({"internal_error", "fatal_error", "request_timeout"})


class SlackApiChannel:
    """Posts to one Slack channel, given by its id (C0123456789) or name (#job-alerts).

    `channel` overrides the connection's extra. Opening raises ConfigurationError without a channel or a token.
    """

    def __init__(
        self, conn_id: str, *, name: str | None = None, channel: str | None = None, connection: Connection | None = None
    ) -> None:
        self.name = name or conn_id
        self._connection = AirflowConnection(conn_id, connection)
        found = channel or self._connection.extra().get("channel")
        if not isinstance(found, str) or not found.strip():
            raise ConfigurationError(
                f'connection {conn_id!r} has no \'channel\'; add it to the extra, like {{"channel": "#job-alerts"}}'
            )
        self.channel = found.strip()
        self._address()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:  # noqa: ARG002 - Slack has no idempotency key
        return json.dumps({"channel": self.channel, **slack_message(alerts)}).encode("ascii")

    def render_report(self, report: Report, *, key: UUID) -> bytes:  # noqa: ARG002 - Slack has no idempotency key
        return json.dumps({"channel": self.channel, **slack_report(report)}).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002
        url, token, proxy = self._address()
        headers = {**JSON_HEADERS, "Authorization": f"Bearer {token}"}
        response = post(open_session(proxy=proxy), url, body, headers=headers, timeout=timeout)
        if response.status != 429:
            self._check(response)
        check_status(response, advice=f"check the base_url in connection {self.name!r}")
        return Accepted()

    def _check(self, response: Response) -> None:
        """Check the JSON: Slack responds 200 to nearly everything."""
        body = _read_json(response)
        if body.get("ok") is True:
            return
        error = body.get("error")
        if not isinstance(error, str):
            if response.status == 200:
                raise DeliveryError(
                    f"{response.host} answered 200 without Slack's JSON; check the base_url in connection {self.name!r}"
                )
            return
        error = fit(one_line(error), 100)
        problem = f"Slack refused the message for {self.channel!r}: {error}"
        if error in _REFUSED_FOR_NOW | _MAY_HAVE_WORKED:
            raise DeliveryError(problem, rejected=error in _REFUSED_FOR_NOW, retry_after=retry_after(response))
        raise PermanentDeliveryError(
            f"{problem}; {_ADVICE.get(error, 'see chat.postMessage in the Slack documentation')}"
        )

    def _address(self) -> tuple[str, str, str | None]:
        connection = self._connection.get()
        if not (connection.password or "").strip():
            raise ConfigurationError(
                f"connection {self._connection.conn_id!r} has no password; put the bot's token (xoxb-...) there"
            )
        client = hook_for(SlackHook, connection, slack_conn_id=self._connection.conn_id).client
        url = f"{client.base_url.rstrip('/')}/chat.postMessage"
        return url, str(client.token).strip(), self._connection.extra().get("proxy") or None


_ADVICE = {
    "channel_not_found": "check the channel's name or id, and invite the app to it if it is private",
    "not_in_channel": "invite the app to the channel: /invite @YourApp",
    "is_archived": "unarchive the channel or name another",
    "invalid_auth": "put a valid bot token in the connection's password",
    "not_authed": "put a valid bot token in the connection's password",
    "token_revoked": "put a valid bot token in the connection's password",
    "token_expired": "put a valid bot token in the connection's password",
    "account_inactive": "put a valid bot token in the connection's password",
    "missing_scope": "give the app the scope chat:write",
}


def _read_json(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
