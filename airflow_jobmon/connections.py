"""Airflow connections, as the rest of the package wants them: a libpq conninfo, or a channel."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_jobmon.errors import ConfigurationError, ConnectionProblem, JobmonError

if TYPE_CHECKING:
    from airflow_jobmon.channels import Channel


def conninfo(conn_id: str) -> str:
    """The libpq conninfo of a postgres connection; it holds the password, so never print it.

    Raises ConnectionProblem where the connection is missing or cannot be used, saying how to create it.
    """
    return _conninfo_of(_get(conn_id), conn_id)


async def aconninfo(conn_id: str) -> str:
    """`conninfo` for code that runs in the triggerer's loop, where the blocking lookup would deadlock."""
    from airflow.sdk import BaseHook  # noqa: PLC0415
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        raise _missing(conn_id) from None
    return _conninfo_of(connection, conn_id)


def open_channel(conn_id: str) -> Channel:
    """The channel that an Airflow connection stands for; its type picks the kind. Nothing is sent or dialled yet."""
    from airflow_jobmon.channels.opening import channel_for  # noqa: PLC0415 - brings in a provider's hooks

    return channel_for(_get(conn_id))


def open_channels(names: Iterable[str]) -> tuple[dict[str, Channel], dict[str, str]]:
    """Each name's channel, and for each name that has none what is wrong, so that one bad name stops no other."""
    channels: dict[str, Channel] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            channels[name] = open_channel(name)
        except JobmonError as error:
            problems[name] = str(error)
    return channels, problems


def extras_of(connection: Any, conn_id: str) -> dict[str, Any]:
    """The extra field, parsed here: `extra_dejson` blocks in the triggerer's loop and hides malformed JSON."""
    if not connection.extra:
        return {}
    try:
        extras = json.loads(connection.extra)
    except ValueError:
        raise ConnectionProblem(f"connection {conn_id!r}: its extra is not valid JSON; correct it") from None
    if not isinstance(extras, dict):
        raise ConnectionProblem(f"connection {conn_id!r}: its extra is not a JSON object; write it like {{}}")
    return extras


def _get(conn_id: str) -> Any:
    from airflow.sdk import BaseHook  # noqa: PLC0415 - seconds of imports that the command line's --help can spare
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _missing(conn_id) from None


def _missing(conn_id: str) -> ConnectionProblem:
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    return ConnectionProblem(
        f"Airflow has no connection {conn_id!r}; add it under Admin > Connections, by `airflow connections add`, "
        f"or as {variable}"
    )


def _conninfo_of(connection: Any, conn_id: str) -> str:
    import psycopg  # noqa: PLC0415 - 0.3 s that a DAG file need not pay
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    if connection.conn_type not in {"postgres", "postgresql"}:
        raise ConnectionProblem(
            f"connection {conn_id!r} is of type {connection.conn_type!r}; the job log needs one of type 'postgres'"
        )
    extras = extras_of(connection, conn_id)
    if extras.get("iam"):
        raise ConfigurationError(
            f"connection {conn_id!r} asks for IAM tokens (extra iam), which are not supported; give it a password"
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
