"""Checks of the way to the database: the connection, the server, the schema, and whether NOTIFY arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import psycopg

from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, ok, quoted, reason, wrong
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.schema import newest_version

CHANNEL = "airflow_jobmon_doctor"
"""Where the doctor notifies itself: nobody else listens there."""

ROUND_TRIP = 1.5
"""Seconds a NOTIFY may take from one of our connections to the other."""


def connection(patient: Patient) -> Iterator[Diagnosis]:
    began = time.monotonic()
    patient.connect()
    took = (time.monotonic() - began) * 1000
    info = patient.connection.info
    yield ok(
        f"connection {patient.conn_id!r} reaches database {info.dbname!r} at {patient.address} "
        f"as {info.user!r} in {took:.0f} ms"
    )


def server(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask_one("server")
    if found.standby:
        yield wrong(
            f"{patient.address} is a standby: it can be read, but nothing can be judged, recorded or listened to there",
            f"point connection {patient.conn_id!r} at the primary (several hosts in Host need the extra "
            '"target_session_attrs": "read-write")',
        )
    elif found.read_only:
        yield wrong(
            f"every transaction of role {found.role!r} at {patient.address} is read-only, so nothing can be recorded",
            f"ALTER ROLE {quoted(found.role)} RESET default_transaction_read_only (it may also be set on the "
            "database or in the connection's options)",
        )
    elif found.version < 15:
        yield wrong(f"PostgreSQL {found.version} is too old", "upgrade the server to PostgreSQL 15 or later")
    else:
        yield ok(f"PostgreSQL {found.version}, a primary that can be written to")


def schema(patient: Patient) -> Iterator[Diagnosis]:
    check_schema(patient.connection)
    patient.migrated = True
    yield ok(f"at migration {newest_version()}, as this package needs it")


def listening(patient: Patient) -> Iterator[Diagnosis]:
    """A round trip between two connections, as the job and a watcher have them."""
    token = uuid4().hex
    with connect(patient.conninfo or "") as listener:
        try:
            listener.execute(f"LISTEN {CHANNEL}")
            began = time.monotonic()
            patient.connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, token])
        except psycopg.errors.ProgramLimitExceeded as error:
            yield wrong(f"nothing can be notified: {reason(error)}", "see what is said of the notification queue")
            return
        except psycopg.Error as error:
            yield wrong(f"{patient.address} refuses LISTEN: {reason(error)}", _elsewhere(patient))
            return
        arrived = any(note.payload == token for note in listener.notifies(timeout=ROUND_TRIP, stop_after=1))
        took = (time.monotonic() - began) * 1000
        # Behind a pooler it may reach another session than ours; there it ends what no session of ours ever would.
        listener.execute(f"UNLISTEN {CHANNEL}")
    if arrived:
        yield ok(f"a NOTIFY went round in {took:.0f} ms")
        return
    port = patient.ask_one("server_port").port
    between = f" (the server itself listens on port {port})" if port not in {None, patient.connection.info.port} else ""
    yield wrong(
        f"a NOTIFY did not arrive over {patient.address} within {ROUND_TRIP:g} s: a pooler in transaction mode stands "
        f"between{between}. Watchers look once a second instead",
        _elsewhere(patient),
    )


def _elsewhere(patient: Patient) -> str:
    return (
        f"point connection {patient.conn_id!r} at the primary itself or at a pooler in session mode "
        "(Supabase: port 5432, not 6543)"
    )
