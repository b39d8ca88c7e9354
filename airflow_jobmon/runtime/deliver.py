"""Delivers with what this Airflow knows: opens the channels that are configured or addressed, and sends what is due."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_jobmon.channels import Channel
from airflow_jobmon.delivery.sender import DeliveryReport, deliver_due
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import addressed_channels, notifier_channels
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings


def channels_to_serve(
    conninfo: str, settings: Settings, given: Mapping[str, Channel] | None = None
) -> tuple[dict[str, Channel], dict[str, str]]:
    """The channels given, configured, or named by a job or a pending alert; and why any of them cannot be opened."""
    held = dict(given or {})
    with connect(conninfo) as conn:
        addressed, elsewhere = addressed_channels(conn), notifier_channels(conn)
    wanted = dict.fromkeys((*settings.channels, *sorted(addressed)))
    opened, problems = open_channels(name for name in wanted if name not in held)
    # A name that some task gave as a notifier has no connection, and is that task's to deliver on.
    return {**held, **opened}, {name: why for name, why in problems.items() if name not in elsewhere}


def deliver(conninfo: str, settings: Settings, given: Mapping[str, Channel] | None = None) -> DeliveryReport:
    """Send everything that is due. What could not even be opened is in the report's `unopened`."""
    channels, problems = channels_to_serve(conninfo, settings, given)
    report = deliver_due(conninfo, channels)
    report.unopened = problems
    return report
