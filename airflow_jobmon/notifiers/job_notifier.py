"""The base class of the notifiers: builds an alert from a callback's context and sends it on one channel."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from airflow.sdk.definitions.context import Context

    from airflow_jobmon.channels import Channel

_PAUSES = (0.5, 2.0)
"""Seconds before the second and third attempt; a callback has no outbox, and must not delay its task for long."""

_LONGEST_PAUSE = 20.0


class JobNotifier(BaseNotifier):
    """Base of the notifiers: sends an alert, built from the callback's context, on the channel of `conn_id`.

    :param conn_id: the Airflow connection.
    :param name: the channel's name when used in `DeliverAlertsOperator(notifiers=)`; default is the connection's id.
    :param job_name: the job's name in the message; default is the dag id.
    :param logs_url: the URL of the button View Logs; default is the task's log.
    :param runbook_url: the URL of the button Runbook; without it, the message has no Runbook button.
    :param timeout: the limit of each of the three attempts, in seconds.

    Use it as on_failure_callback, on_success_callback, on_retry_callback or on_skipped_callback of a task or DAG, or in
    a deadline's AsyncCallback. Raises DeliveryError if the channel does not accept the message after three attempts.
    """

    # No text from a run is ever rendered as a template: an error message may contain one.
    template_fields: Sequence[str] = ()
    default_conn_id = ""

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        name: str | None = None,
        job_name: str | None = None,
        logs_url: str | None = None,
        runbook_url: str | None = None,
        timeout: float = 10.0,
        context: Context | None = None,
    ) -> None:
        super().__init__(context)
        self.conn_id = conn_id or self.default_conn_id
        self.name = name or self.conn_id
        self.job_name = job_name
        self.logs_url = logs_url
        self.runbook_url = runbook_url
        self.timeout = timeout
        self._channel: Channel | None = None

    @property
    def channel(self) -> Channel:
        """The channel of this notifier, opened on first use.

        Raises ConnectionProblem or ConfigurationError if it cannot be opened.
        """
        if self._channel is None:
            from airflow_jobmon.channels.airflow_connection import AirflowConnection  # noqa: PLC0415 - not at parse time

            self._channel = self._open(AirflowConnection(self.conn_id).get())
        return self._channel

    def notify(self, context: Context) -> None:
        for pause in self._attempts(context):
            time.sleep(pause)

    async def async_notify(self, context: Context) -> None:
        """`notify` for the triggerer, whose event loop must not block on a server or on a connection lookup."""
        if self._channel is None:
            from airflow_jobmon.channels.airflow_connection import read_connection  # noqa: PLC0415

            connection = await read_connection(self.conn_id)
            self._channel = await asyncio.to_thread(self._open, connection)
        attempts = self._attempts(context)
        # A plain pause between attempts: there is no event to wait for.
        while (pause := await asyncio.to_thread(next, attempts, None)) is not None:  # noqa: ASYNC110
            await asyncio.sleep(pause)

    @abstractmethod
    def _open(self, connection: Connection) -> Channel: ...

    def _attempts(self, context: Context) -> Iterator[float]:
        """Send; yield the seconds to wait before each further attempt, which sends the same bytes again."""
        from uuid import uuid4  # noqa: PLC0415

        from airflow_jobmon.errors import DeliveryError  # noqa: PLC0415

        key = uuid4()
        body = self.channel.render([self._alert(context)], key=key)
        only: list[str] | None = None
        for pause in (*_PAUSES, None):
            try:
                accepted = self.channel.send(body, key=key, timeout=self.timeout, only=only)
            except DeliveryError as error:
                wait = max(error.retry_after or 0.0, pause or 0.0)
                if error.permanent or pause is None or wait > _LONGEST_PAUSE:
                    raise
                self.log.warning("channel %s: %s; next try in %.0f s", self.name, error, wait)
            else:
                for address, words in accepted.refused.items():
                    self.log.warning("channel %s: %s was refused: %s", self.name, address, words)
                if not accepted.retry:
                    return
                only, wait = list(accepted.retry), pause or 0.0
                if pause is None:
                    unreached = "; ".join(f"{address}: {words}" for address, words in accepted.retry.items())
                    raise DeliveryError(f"channel {self.name}: some recipients were not reached: {unreached}")
            yield wait

    def _alert(self, context: Context) -> Any:
        from airflow_jobmon import settings  # noqa: PLC0415
        from airflow_jobmon.notifiers.callback_alert import AlertOverrides, alert_of, utc_now  # noqa: PLC0415

        overrides = AlertOverrides(self.job_name, self.logs_url, self.runbook_url)
        return alert_of(context, overrides, now=utc_now(), base_url=settings.load().base_url)
