"""Connections to the database of the job log, in the same state whatever the defaults of the role or server are."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from airflow_jobmon.errors import ConnectionProblem

APPLICATION_NAME = "airflow_jobmon"
CONNECT_TIMEOUT = 5
"""Seconds until connecting times out, unless the conninfo sets connect_timeout."""

_NOTICE_A_DEAD_SERVER = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A watcher waits for hours on an idle connection; with these it notices a vanished server within half a minute."""

# One statement, one round trip. The isolation level is set only where it differs: behind a pooler the setting may stay
# on a connection that others use next.
_SESSION = """
SELECT pg_catalog.set_config('TimeZone', 'UTC', false),
    CASE WHEN pg_catalog.current_setting('default_transaction_isolation') <> 'read committed'
        THEN pg_catalog.set_config('default_transaction_isolation', 'read committed', false) END
"""

_HINTS = (
    ("password authentication failed", "correct the login and password of the connection"),
    ("no password supplied", "set the password of the connection"),
    ("connection refused", "is the server running there? Check the connection's host and port"),
    ("translate host name", "check the connection's host"),
    ("timeout", "check the connection's host and port, and firewalls between"),
    ("no pg_hba.conf entry", "let pg_hba.conf admit this user, host and database"),
    ("too many", "raise max_connections or use a session pooler"),
    ("starting up", "the server is starting; try again in a moment"),
    ("shutting down", "the server is stopping; try again when it is back"),
    ("does not exist", "check the connection's login and database (its schema field)"),
    ("ssl", "check the connection's sslmode"),
)


def connect(conninfo: str) -> Connection[TupleRow]:
    """Connect: autocommit, READ COMMITTED, times in UTC, no prepared statements (poolers drop them).

    Group statements with `with conn.transaction():`. Raises ConnectionProblem, one line and never the password.
    """
    prepared = prepared_conninfo(conninfo)
    try:
        conn = psycopg.connect(prepared, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _problem(prepared, error) from None
    try:
        open_session(conn)
    except psycopg.Error as error:
        conn.close()
        raise _problem(prepared, error) from None
    return conn


def open_session(conn: Connection[Any]) -> None:
    """Bring a connection that another component opened into the state in which `connect` returns one."""
    conn.isolation_level = IsolationLevel.READ_COMMITTED
    conn.execute(_SESSION)


async def aconnect(conninfo: str) -> AsyncConnection[TupleRow]:
    """`connect`, for the triggerer's loop."""
    prepared = prepared_conninfo(conninfo)
    try:
        conn = await AsyncConnection.connect(prepared, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _problem(prepared, error) from None
    try:
        await conn.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await conn.execute(_SESSION)
    except psycopg.Error as error:
        await conn.close()
        raise _problem(prepared, error) from None
    except BaseException:
        await conn.close()  # cancelled half way: no other code would close it
        raise
    return conn


def prepared_conninfo(conninfo: str) -> str:
    """With our application name, a connect timeout and keepalives, unless the conninfo sets them.

    Raises ConnectionProblem for one that cannot be read, without quoting it.
    """
    try:
        given = conninfo_to_dict(conninfo)
        defaults: dict[str, Any] = {
            "application_name": APPLICATION_NAME,
            "connect_timeout": CONNECT_TIMEOUT,
            **_NOTICE_A_DEAD_SERVER,
        }
        return make_conninfo(**{**defaults, **given})
    except psycopg.Error:
        # libpq quotes the part that it could not read, which may be the password.
        raise ConnectionProblem(
            "the connection string cannot be read; write it like host=... port=5432 dbname=... user=..., "
            "or as a postgresql:// URI, with special characters quoted"
        ) from None


def _problem(conninfo: str, error: psycopg.Error) -> ConnectionProblem:
    parts = conninfo_to_dict(conninfo)
    where = f"{parts.get('host', 'the local socket')}:{parts.get('port', 5432)}"
    reason = _reason(error)
    if password := parts.get("password"):
        reason = reason.replace(str(password), "***")
    hint = next((hint for word, hint in _HINTS if word in reason.lower()), "check the connection")
    who = f"database {str(parts.get('dbname', ''))[:100]!r} at {where} as {str(parts.get('user', ''))[:100]!r}"
    return ConnectionProblem(f"cannot connect to {who}: {reason}; {hint}")


def _reason(error: psycopg.Error) -> str:
    """The message of the server or libpq on one line, without the address that it repeats."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    kept = next((line for line in lines if "failed:" in line or "FATAL:" in line), lines[0])
    kept = re.sub(r"^connection failed: |connection to server at .*? failed: |connection is bad: |FATAL: +", "", kept)
    return kept[:300] or lines[0][:300]
