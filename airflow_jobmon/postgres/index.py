"""The index on (job_name, started_at DESC), built without blocking the jobs, and only where no other index serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import Connection, errors
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow

from airflow_jobmon.postgres.queries import load_queries

# Errors that another migrate at the same moment or a busy table causes: asking again what is still needed settles them.
_PASSING = (
    errors.DuplicateTable,
    errors.UndefinedObject,
    errors.UndefinedTable,
    errors.UniqueViolation,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.ObjectNotInPrerequisiteState,
)


def build_index(conn: Connection[TupleRow], progress: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """Run what is needed until an index serves; returns the statements run, and notes on what failed.

    A missing index makes queries slow, not wrong, so a failure to build it is a note and not an error.
    """
    sql = load_queries("migrate")
    done: list[str] = []
    tries = 0
    with _time_to_build(conn):
        while needed := [str(statement) for (statement,) in conn.execute(sql["index_statements"])]:
            statement = needed[0]
            if statement in done or tries > 100:
                return done, [f"the job log still lacks an index; create it by hand: {statement}"]
            if statement.startswith("DROP") and _being_built(conn):
                tries += 1
                progress("waiting: another session is building an index on the job log, or vacuuming it")
                time.sleep(1)
                continue
            progress(f"running {statement} (it waits for transactions that are open now, and blocks no writer)")
            try:
                _run(conn, statement)
            except _PASSING:
                tries += 1
                time.sleep(0.2)
                continue
            except DatabaseError as error:
                return done, [f"could not index the job log ({error.diag.message_primary or error}): {statement}"]
            done.append(statement)
    return done, []


@contextmanager
def _time_to_build(conn: Connection[TupleRow]) -> Iterator[None]:
    """Lift the time limits for statements outside a transaction: a build waits for open transactions, however long.

    Behind a pooler the role's own limits stay, since a setting would remain on a connection that others use.
    """
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or row[0] != conn.info.backend_pid:
        yield
        return
    conn.execute("SET statement_timeout = 0")
    conn.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        conn.execute("RESET statement_timeout")
        conn.execute("RESET lock_timeout")


def _run(conn: Connection[TupleRow], statement: str) -> None:
    if statement.startswith(("CREATE INDEX CONCURRENTLY", "DROP INDEX CONCURRENTLY")):
        conn.execute(statement.encode())
        return
    with conn.transaction():
        conn.execute(load_queries("migrate")["brief_locks"])  # writers wait for this one
        conn.execute(statement.encode())


def _being_built(conn: Connection[TupleRow]) -> bool:
    row = conn.execute(load_queries("migrate")["being_built"]).fetchone()
    return bool(row and row[0])
