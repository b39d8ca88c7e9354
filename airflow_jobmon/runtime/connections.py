"""Airflow connections as the rest of the package needs them: a libpq conninfo, or a channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_jobmon.channels import Channel
from airflow_jobmon.channels.airflow_connection import AirflowConnection, read_connection
from airflow_jobmon.channels.channel_types import channel_for
from airflow_jobmon.errors import ConfigurationError, ConnectionProblem, JobmonError


def conninfo(conn_id: str) -> str:
    """The libpq conninfo of a postgres connection; it holds the password, so never print it.

    Raises ConnectionProblem if the connection is missing or unusable; the message says how to create it.
    """
    return _conninfo(AirflowConnection(conn_id))


async def aconninfo(conn_id: str) -> str:
    """`conninfo` for code in the triggerer's event loop, where the blocking lookup would deadlock."""
    return _conninfo(AirflowConnection(conn_id, await read_connection(conn_id)))


def connection_type(conn_id: str) -> str | None:
    """The type of a connection; None if it does not exist, as for a channel given as a notifier."""
    try:
        return AirflowConnection(conn_id).get().conn_type
    except ConnectionProblem:
        return None


def open_channel(conn_id: str) -> Channel:
    """The channel of an Airflow connection; its type picks the channel. This neither connects nor sends."""
    return channel_for(AirflowConnection(conn_id).get())


def open_channels(names: Iterable[str]) -> tuple[dict[str, Channel], dict[str, str]]:
    """The channels by name, and the errors by name: one bad name does not stop the others."""
    channels: dict[str, Channel] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            channels[name] = open_channel(name)
        except JobmonError as error:
            problems[name] = str(error)
    return channels, problems


def _conninfo(kept: AirflowConnection) -> str:
    import psycopg  # noqa: PLC0415 - takes 0.3 s, which a DAG file need not pay
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    connection, conn_id = kept.get(), kept.conn_id
    if connection.conn_type not in {"postgres", "postgresql"}:
        raise ConnectionProblem(
            f"connection {conn_id!r} has type {connection.conn_type!r}; the job log needs type 'postgres'"
        )
    extras = kept.extra()
    if extras.get("iam"):
        raise ConfigurationError(
            f"connection {conn_id!r} uses IAM tokens (extra iam), which are not supported; give it a password"
        )
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    parameters: dict[str, Any] = {
        key: int(value) if isinstance(value, bool) else value  # libpq writes true as 1
        for key, value in extras.items()
        if key in known and value is not None and not isinstance(value, (dict, list))
    }
    fields = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    parameters.update((key, value) for key, value in fields.items() if value not in {None, ""})
    return make_conninfo(**parameters)
