"""Real channels, opened through Airflow connections in the environment, and the state of their deliveries."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import pytest
from psycopg import Connection

from airflow_jobmon.channels import Channel
from airflow_jobmon.runtime.connections import open_channels

HTTP_KINDS = ("slackwebhook", "slack", "resend", "http")
ACCEPTED = '{"ok": true, "id": "1"}'
"""What all four of them take for a yes."""


def http_connection(kind: str, url: str) -> dict[str, Any]:
    """The Airflow connection of this kind whose server is at `url`."""
    mail = {"to": ["oncall@example.com", "backup@example.com"], "from_email": "jobmon@example.com"}
    extra: dict[str, dict[str, Any]] = {"slack": {"channel": "#job-alerts", "base_url": f"{url}/api/"}, "resend": mail}
    host = {"slackwebhook": f"{url}/services", "slack": None}.get(kind, url)
    return {"conn_type": kind, "host": host, "password": "T0/B0/secret", "extra": extra.get(kind, {})}


def mail_connection(port: int, **extra: Any) -> dict[str, Any]:
    """An SMTP connection without TLS; `extra` changes that, and may hold login and password."""
    fields = {key: extra.pop(key) for key in ("login", "password") if key in extra}
    defaults = {
        "disable_ssl": True,
        "disable_tls": True,
        "to": ["oncall@example.com", "backup@example.com"],
        "from_email": "jobmon@example.com",
    }
    return {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": {**defaults, **extra}, **fields}


def opened(monkeypatch: pytest.MonkeyPatch, **connections: dict[str, Any]) -> dict[str, Channel]:
    """The channels behind these Airflow connections, by name."""
    for name, fields in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))
    channels, problems = open_channels(connections)
    assert problems == {}
    return channels


class DeliveryState(NamedTuple):
    job_name: str
    state: str
    error: str | None


def delivery_states(conn: Connection[Any], channel: str, kind: str = "failed") -> list[DeliveryState]:
    """What became of the alerts of a kind on a channel, in order."""
    rows = conn.execute(
        "SELECT d.job_name, d.state, d.last_error FROM airflow_jobmon.deliveries d "
        "JOIN airflow_jobmon.alerts a ON a.id = d.alert_id WHERE d.channel = %s AND a.kind = %s ORDER BY a.id",
        [channel, kind],
    ).fetchall()
    return [DeliveryState(*row) for row in rows]


def message_states(conn: Connection[Any], channel: str) -> list[tuple[str, int]]:
    """State and attempts of each message made for a channel, oldest first."""
    return conn.execute(
        "SELECT state, attempts FROM airflow_jobmon.messages WHERE channel = %s ORDER BY created_at", [channel]
    ).fetchall()


def paused(conn: Connection[Any], channel: str, shortest: float, longest: float, *, since: float) -> bool:
    """Whether the channel was made to pause for so many seconds, at some moment from `since` (monotonic) to now."""
    left = _pause(conn, channel)
    return left <= longest and shortest <= left + time.monotonic() - since


def _pause(conn: Connection[Any], channel: str) -> float:
    """Seconds until the channel may be used again, 0 if now."""
    row = conn.execute(
        "SELECT extract(epoch FROM greatest(paused_until - clock_timestamp(), interval '0'))::float8 "
        "FROM airflow_jobmon.channels WHERE name = %s",
        [channel],
    ).fetchone()
    assert row is not None
    return float(row[0] or 0.0)


def end_pauses(conn: Connection[Any], channel: str) -> None:
    """As if every pause, wait and lease of this channel were over."""
    conn.execute("UPDATE airflow_jobmon.channels SET paused_until = NULL WHERE name = %s", [channel])
    for table in ("messages", "deliveries"):
        conn.execute(f"UPDATE airflow_jobmon.{table} SET next_attempt_at = now() WHERE channel = %s", [channel])
    conn.execute(
        "UPDATE airflow_jobmon.messages SET leased_until = now() WHERE channel = %s AND leased_until IS NOT NULL",
        [channel],
    )
