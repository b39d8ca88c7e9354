"""Delivers with this Airflow's connections: opens the configured and addressed channels, and sends due alerts."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_jobmon.channels import Channel
from airflow_jobmon.delivery.channel_sender import DeliveryResult
from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import addressed_channels, notifier_channels
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.settings import Settings


def channels_to_serve(
    conninfo: str, settings: Settings, given: Mapping[str, Channel] | None = None
) -> tuple[dict[str, Channel], dict[str, str]]:
    """The channels given, configured, or named by a job or pending alert; and the errors of those that do not open."""
    held = dict(given or {})
    with connect(conninfo) as conn:
        addressed, elsewhere = addressed_channels(conn), notifier_channels(conn)
    wanted = dict.fromkeys((*settings.channels, *sorted(addressed)))
    opened, problems = open_channels(name for name in wanted if name not in held)
    # A name that some task gave as a notifier has no connection; that task delivers on it.
    return {**held, **opened}, {name: why for name, why in problems.items() if name not in elsewhere}


def deliver(conninfo: str, settings: Settings, given: Mapping[str, Channel] | None = None) -> DeliveryResult:
    """Send everything that is due; the result's `unopened` holds the channels that could not be opened."""
    channels, problems = channels_to_serve(conninfo, settings, given)
    result = deliver_due(conninfo, channels)
    result.unopened = problems
    return result
