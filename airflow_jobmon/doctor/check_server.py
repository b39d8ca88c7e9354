"""Checks of the connection, the server, the schema, and whether NOTIFY arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import psycopg

from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, error_text, ok, quote_name, wrong
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.schema import newest_version

CHANNEL = "airflow_jobmon_doctor"
"""The doctor's own channel; nothing else listens on it."""

ROUND_TRIP = 1.5
"""Seconds that a NOTIFY may take from one of our connections to the other."""


def connection(installation: CheckedInstallation) -> Iterator[CheckResult]:
    began = time.monotonic()
    installation.connect()
    took = (time.monotonic() - began) * 1000
    info = installation.connection.info
    yield ok(
        f"connection {installation.conn_id!r} reaches database {info.dbname!r} at {installation.address} "
        f"as {info.user!r} in {took:.0f} ms"
    )


def server(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_one("server")
    if found.standby:
        yield wrong(
            f"{installation.address} is a standby, which is read-only: it allows neither recording nor LISTEN",
            f"point connection {installation.conn_id!r} at the primary (with several hosts in Host, add the extra "
            '"target_session_attrs": "read-write")',
        )
    elif found.read_only:
        yield wrong(
            f"every transaction of role {found.role!r} at {installation.address} is read-only, so nothing can "
            "be recorded",
            f"ALTER ROLE {quote_name(found.role)} RESET default_transaction_read_only (it may also be set on the "
            "database or in the options of the connection)",
        )
    elif found.version < 15:
        yield wrong(f"PostgreSQL {found.version} is too old", "upgrade the server to PostgreSQL 15 or later")
    else:
        yield ok(f"PostgreSQL {found.version}, a writable primary")


def schema(installation: CheckedInstallation) -> Iterator[CheckResult]:
    check_schema(installation.connection)
    installation.migrated = True
    yield ok(f"at migration {newest_version()}, the version of this package")


def listening(installation: CheckedInstallation) -> Iterator[CheckResult]:
    """A round trip between two connections, such as those of a job and a watcher."""
    token = uuid4().hex
    with connect(installation.conninfo or "") as listener:
        try:
            listener.execute(f"LISTEN {CHANNEL}")
            began = time.monotonic()
            installation.connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, token])
        except psycopg.errors.ProgramLimitExceeded as error:
            yield wrong(f"NOTIFY fails: {error_text(error)}", "see the check `notification queue`")
            return
        except psycopg.Error as error:
            yield wrong(f"{installation.address} refuses LISTEN: {error_text(error)}", _connect_directly(installation))
            return
        arrived = any(note.payload == token for note in listener.notifies(timeout=ROUND_TRIP, stop_after=1))
        took = (time.monotonic() - began) * 1000
        # Behind a pooler, LISTEN may have reached a server session that outlives our connection; this ends it there.
        listener.execute(f"UNLISTEN {CHANNEL}")
    if arrived:
        yield ok(f"a NOTIFY arrived in {took:.0f} ms")
        return
    port = installation.fetch_one("server_port").port
    between = (
        f" (the server itself listens on port {port})" if port not in {None, installation.connection.info.port} else ""
    )
    yield wrong(
        f"a NOTIFY did not arrive over {installation.address} within {ROUND_TRIP:g} s: a pooler in transaction mode is "
        f"in between{between}. Watchers poll once a second instead",
        _connect_directly(installation),
    )


def _connect_directly(installation: CheckedInstallation) -> str:
    return (
        f"point connection {installation.conn_id!r} directly at the primary, or at a pooler in session mode "
        "(Supabase: port 5432, not 6543)"
    )
