"""An Airflow connection that a channel keeps: read when the channel opens, and again every minute."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_jobmon.errors import ConfigurationError, ConnectionProblem

if TYPE_CHECKING:
    from airflow.sdk import Connection

H = TypeVar("H")

_KEPT_FOR = 60.0
_log = logging.getLogger(__name__)


class AirflowConnection:
    """Read again after a minute, so that a corrected password needs no restart.

    If it cannot be read again (Airflow's database is down), the last reading stays in use: that is when alerts matter.
    `connection` saves the first reading.
    """

    def __init__(self, conn_id: str, connection: Connection | None = None) -> None:
        self.conn_id = conn_id
        self._connection = connection
        self._read_at = time.monotonic()

    def get(self) -> Connection:
        """Raises ConnectionProblem if there is no such connection."""
        if self._connection is None or time.monotonic() - self._read_at > _KEPT_FOR:
            self._read()
        assert self._connection is not None  # noqa: S101 - _read raises if it sets none
        return self._connection

    def extra(self) -> dict[str, Any]:
        """Raises ConfigurationError if it is not a JSON object; Airflow itself reads such an extra as empty."""
        text = self.get().extra
        try:
            extra = json.loads(text) if text else {}
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise ConfigurationError(f"connection {self.conn_id!r}: its extra is not a JSON object; correct it")
        return extra

    def _read(self) -> None:
        from airflow.sdk import BaseHook  # noqa: PLC0415 - load Airflow only when a channel is used

        try:
            self._connection = _typed(BaseHook.get_connection(self.conn_id), self.conn_id)
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend raises
            if self._connection is None:
                raise _missing(self.conn_id, error) from None
            _log.warning(
                "connection %s cannot be read again (%s); using the last known values", self.conn_id, _kind(error)
            )
        self._read_at = time.monotonic()


async def read_connection(conn_id: str) -> Connection:
    """The lookup for code in the triggerer's event loop, where the blocking one would deadlock.

    Raises ConnectionProblem.
    """
    from airflow.sdk import BaseHook  # noqa: PLC0415 - load Airflow only when a channel is used

    try:
        return _typed(await BaseHook.aget_connection(conn_id), conn_id)
    except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything; the name helps most
        raise _missing(conn_id, error) from None


def _typed(connection: Connection, conn_id: str) -> Connection:
    """Reject what Airflow reads from text that is not a URI: a connection without a type. Raises ConnectionProblem."""
    if not connection.conn_type and (malformed := _malformed(conn_id)):
        raise ConnectionProblem(malformed)
    return connection


def _missing(conn_id: str, error: Exception) -> ConnectionProblem:
    if isinstance(error, ConnectionProblem):
        return error
    absent = _kind(error) == "AirflowNotFoundException"
    if absent and (malformed := _malformed(conn_id)):
        return ConnectionProblem(malformed)
    problem = (
        f"Airflow has no connection {conn_id!r}"
        if absent
        else f"connection {conn_id!r} cannot be read ({_kind(error)})"
    )
    return ConnectionProblem(f"{problem}; add it under Admin > Connections, or as AIRFLOW_CONN_{conn_id.upper()}")


def _malformed(conn_id: str) -> str | None:
    """The mistake in an environment variable that Airflow cannot read as a connection; None if it is not set.

    Airflow reports that connection as missing. The variable holds passwords, so its text is not shown.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    problem = "cannot be read: a field in it is unknown or of the wrong kind"
    if text.startswith("{"):
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            problem = f"is malformed JSON at character {error.pos + 1}: {error.msg}"
    elif "://" not in text:
        problem = "is not a connection URI"
    return (
        f"connection {conn_id!r} exists, but its variable {variable} {problem}; "
        'write it like postgres://login:password@host:5432/database, or as JSON like {"conn_type": "postgres", ...}'
    )


def _kind(error: Exception) -> str:
    return type(error).__name__


def hook_for(hook_class: type[H], connection: Connection, **arguments: Any) -> H:
    """One of Airflow's hooks on a connection that was already read, so that it does no lookup of its own."""

    class OnConnection(hook_class):  # type: ignore[valid-type,misc]
        @classmethod
        def get_connection(cls, conn_id: str) -> Connection:  # noqa: ARG003 - the hook's own signature
            return connection

    hook: H = OnConnection(**arguments)
    return hook
