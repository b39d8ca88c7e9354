"""Reads the effects of the trigger: the stored events, and the notifications that arrive."""

from __future__ import annotations

import json
from typing import Any

from psycopg import Connection

Conn = Connection[Any]


def stored_events(conn: Conn) -> list[tuple[Any, ...]]:
    """(job_name, error_message) of each event, oldest first."""
    return conn.execute("SELECT job_name, error_message FROM airflow_jobmon.events ORDER BY id").fetchall()


def arrivals(listener: Conn, timeout: float = 0) -> list[tuple[str, str]]:
    """(channel, payload) of what has arrived on a connection that listens; waits `timeout` seconds for the first."""
    return [
        (note.channel, note.payload) for note in listener.notifies(timeout=timeout, stop_after=1 if timeout else None)
    ]


def notified_failures(listener: Conn) -> list[dict[str, Any]]:
    """The job_failure payloads that have arrived. A NOTIFY is there once the server has answered the listener again."""
    listener.execute("SELECT")
    return [json.loads(payload) for channel, payload in arrivals(listener) if channel == "job_failure"]
