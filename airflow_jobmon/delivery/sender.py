"""Delivers all due messages once. Each channel has its own thread and connection, so a hanging one delays no other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from airflow_jobmon.channels import Channel
from airflow_jobmon.delivery.channel_sender import ChannelSender, DeliveryResult
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.outbox import register_channels

PATIENCE = 3.0
"""Seconds that a delivery waits for the next message to be due; later ones are left to the next delivery."""


def deliver_due(conninfo: str, channels: Mapping[str, Channel], *, patience: float = PATIENCE) -> DeliveryResult:
    """Send everything that is due on these channels, and what becomes due within `patience` seconds; then return.

    The error of a channel is not raised: it is counted in the result, and the message is sent again later. Raises
    ConnectionProblem or psycopg.Error for an error of the database.
    """
    result, holder = DeliveryResult(), uuid4()
    if not channels:
        return result
    with connect(conninfo) as conn:
        register_channels(conn, tuple(channels))

    def deliver(channel: Channel) -> None:
        with connect(conninfo) as conn:
            sender = ChannelSender(conn, channel, others=tuple(channels), holder=holder, result=result)
            while True:
                while sender.send_next():
                    pass
                wait = sender.seconds_until_next()
                if wait is None or wait > patience:
                    return
                time.sleep(max(wait, 0.02))

    with ThreadPoolExecutor(max_workers=len(channels), thread_name_prefix="jobmon-deliver") as pool:
        for done in [pool.submit(deliver, channel) for channel in channels.values()]:
            done.result()
    return result
