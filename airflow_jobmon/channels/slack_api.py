"""Slack's chat.postMessage with a bot token: connection type `slack`, extra `channel`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.providers.slack.hooks.slack import SlackHook

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import KeptConnection, hook_on
from airflow_jobmon.channels.slack_message import slack_message
from airflow_jobmon.channels.slack_report import slack_report
from airflow_jobmon.channels.slack_webhook import JSON_HEADERS
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import ConfigurationError, DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.client import Answer, open_session, post
from airflow_jobmon.http.status import check_status, retry_after

if TYPE_CHECKING:
    from airflow.sdk import Connection

_REFUSED_FOR_NOW = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org"})
_MAY_HAVE_WORKED = frozenset({"internal_error", "fatal_error", "request_timeout"})


class SlackApiChannel:
    """Posts to one Slack channel, given by its id (C0123456789) or name (#job-alerts).

    `channel` beats the connection's extra. Opening raises ConfigurationError where there is no channel or no token.
    """

    def __init__(
        self, conn_id: str, *, name: str | None = None, channel: str | None = None, connection: Connection | None = None
    ) -> None:
        self.name = name or conn_id
        self._connection = KeptConnection(conn_id, connection)
        found = channel or self._connection.extra().get("channel")
        if not isinstance(found, str) or not found.strip():
            raise ConfigurationError(
                f'connection {conn_id!r} has no \'channel\'; add it to the extra, like {{"channel": "#job-alerts"}}'
            )
        self.channel = found.strip()
        self._address()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:  # noqa: ARG002 - Slack takes no key
        return json.dumps({"channel": self.channel, **slack_message(alerts)}).encode("ascii")

    def render_report(self, report: Report, *, key: UUID) -> bytes:  # noqa: ARG002 - Slack takes no key
        return json.dumps({"channel": self.channel, **slack_report(report)}).encode("ascii")

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002

        url, token, proxy = self._address()
        headers = {**JSON_HEADERS, "Authorization": f"Bearer {token}"}
        answer = post(open_session(proxy=proxy), url, body, headers=headers, timeout=timeout)
        if answer.status != 429:
            self._check(answer)
        check_status(answer, advice=f"check the base_url in connection {self.name!r}")
        return Accepted()

    def _check(self, answer: Answer) -> None:
        """Slack answers 200 to nearly everything; what happened is in the JSON."""
        said = _read_json(answer)
        if said.get("ok") is True:
            return
        error = said.get("error")
        if not isinstance(error, str):
            if answer.status == 200:
                raise DeliveryError(
                    f"{answer.host} answered 200 without Slack's JSON; check the base_url in connection {self.name!r}"
                )
            return
        error = fit(one_line(error), 100)
        told = f"Slack refused the message for {self.channel!r}: {error}"
        if error in _REFUSED_FOR_NOW | _MAY_HAVE_WORKED:
            raise DeliveryError(told, rejected=error in _REFUSED_FOR_NOW, retry_after=retry_after(answer))
        raise PermanentDeliveryError(f"{told}; {_ADVICE.get(error, 'see chat.postMessage in Slack documentation')}")

    def _address(self) -> tuple[str, str, str | None]:
        connection = self._connection.get()
        if not (connection.password or "").strip():
            raise ConfigurationError(
                f"connection {self._connection.conn_id!r} has no password; put the bot's token (xoxb-...) there"
            )
        client = hook_on(SlackHook, connection, slack_conn_id=self._connection.conn_id).client
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


def _read_json(answer: Answer) -> dict[str, Any]:
    try:
        said = json.loads(answer.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
