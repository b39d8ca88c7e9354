"""Sends a report: stored as one message per channel, then delivered as alerts are, with the same retries."""

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
class Published:
    """Where a report went. unrendered: channels that could make no message of it, and why."""

    report_id: int
    messages: tuple[ReportMessage, ...]
    unrendered: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, str]:
        """Channels that will never get it, and why; one that is only down for now gets it later."""
        dead = {
            message.channel: message.last_error or "refused" for message in self.messages if message.state == "dead"
        }
        return {**self.unrendered, **dead}


def publish(conninfo: str, report: Report, channels: Mapping[str, Channel], *, key: str | None = None) -> Published:
    """Store the report, send it on these channels, and say how far it came.

    What a channel does not take for now stays in the outbox: whoever delivers alerts sends it when its time comes.
    key: names what asks for it, so that asking again sends nothing to a channel that took it, or will get it.
    """
    bodies, unrendered = {}, {}
    for name, channel in channels.items():
        message = uuid4()
        try:
            bodies[name] = (message, channel.render_report(report, key=message))
        except Exception as error:
            log.exception("channel %s can make no message of the %s report", name, report.kind)
            unrendered[name] = f"cannot be rendered: {type(error).__name__}: {error}"
    with connect(conninfo) as conn:
        report_id = store_report(conn, report, bodies, key=key)
    deliver_due(conninfo, {name: channels[name] for name in bodies})
    with connect(conninfo) as conn:
        messages = tuple(message for message in messages_of(conn, report_id) if message.channel in bodies)
    return Published(report_id, messages, unrendered)
