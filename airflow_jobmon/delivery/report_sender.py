"""Sends a report: stores one message per channel, and delivers them like alerts, with the same retries."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from airflow_jobmon.channels import Channel
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.reports import ReportMessage, messages_of, store_report

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SentReport:
    """A report and its messages. unrendered: the channels that could not render it, and why."""

    report_id: int
    messages: tuple[ReportMessage, ...]
    unrendered: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, str]:
        """The channels that will never receive the report, and why; one that is only down now receives it later."""
        dead = {
            message.channel: message.last_error or "refused" for message in self.messages if message.state == "dead"
        }
        return {**self.unrendered, **dead}


def send_report(
    conninfo: str, report: Report, channels: Mapping[str, Channel], *, key: str | None = None
) -> SentReport:
    """Store the report, send it on these channels, and return the state of its messages.

    A message that a channel does not accept now stays in the outbox and is delivered later, with the alerts.
    key: identifies the report if it is sent again, so that no channel receives it twice.
    """
    bodies, unrendered = {}, {}
    for name, channel in channels.items():
        message_id = uuid4()
        try:
            bodies[name] = (message_id, channel.render_report(report, key=message_id))
        except Exception as error:
            log.exception("channel %s cannot render the %s report", name, report.kind)
            unrendered[name] = f"cannot be rendered: {type(error).__name__}: {error}"
    with connect(conninfo) as conn:
        report_id = store_report(conn, report, bodies, key=key)
    deliver_due(conninfo, {name: channels[name] for name in bodies})
    with connect(conninfo) as conn:
        messages = tuple(message for message in messages_of(conn, report_id) if message.channel in bodies)
    return SentReport(report_id, messages, unrendered)
