"""The index on (job_name, started_at DESC), built without stopping the jobs, and only where none serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import Connection, errors
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow

from airflow_jobmon.postgres.queries import load_queries

# What another migrate at the same moment, or a busy table, answers; asking again what is still needed settles it.
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
    """Run what is needed until an index serves; what was done, and notes on what could not be.

    A missing index makes questions slow, not wrong, so what keeps it from being built is a note and no error.
    """
    sql = load_queries("migrate")
    done: list[str] = []
    tries = 0
    with _time_to_build(conn):
        while needed := [str(statement) for (statement,) in conn.execute(sql["index_statements"])]:
            statement = needed[0]
            if statement in done or tries > 100:
                return done, [f"an index on the job log is still missing; try by hand: {statement}"]
            if statement.startswith("DROP") and _being_built(conn):
                tries += 1
                progress("waiting: another session builds an index on the job log, or vacuums it")
                time.sleep(1)
                continue
            progress(f"running {statement} (it first waits for transactions that are open now; nobody waits for it)")
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
    """No limit for what cannot run in a transaction: a build waits for open transactions, however long they take.

    Behind a pooler the role's own limits stay: a setting would be left on a connection that others use.
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
