"""Transactions that cross the wire seldom: statements are sent together, and the COMMIT with the last of them.

Each crossing costs some 0.2 ms where nothing else runs and several where much does, and an alert takes some twenty
statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg import Connection, Pipeline
from psycopg.pq import TransactionStatus

T = TypeVar("T")

Answer = Callable[[], T]
"""Something that was asked already; calling it waits until it is known. Ask everything first, then call."""

_OPEN = {TransactionStatus.INTRANS, TransactionStatus.INERROR}


@contextmanager
def transaction(conn: Connection[Any], *, durable: bool = True) -> Iterator[None]:
    """A transaction whose statements only leave when a result is read, or at the end.

    What a statement raises may therefore come from a later one, or from the end of the block; all is rolled back then.
    `durable=False` does not wait for the disk: should the server crash within the next moments, none of the transaction
    happened. Later durable ones keep it, whoever makes them.
    """
    if not Pipeline.is_supported():  # libpq before 14
        with conn.transaction():
            _relax(conn, durable=durable)
            yield
        return
    try:
        with conn.pipeline():
            conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
            _relax(conn, durable=durable)
            yield
            # After a failed statement the server skips what follows in the same trip, so this never commits half.
            conn.execute("COMMIT", prepare=False)
    except BaseException:
        if conn.info.transaction_status in _OPEN:
            conn.execute("ROLLBACK")
        raise


def _relax(conn: Connection[Any], *, durable: bool) -> None:
    if not durable:
        conn.execute("SET LOCAL synchronous_commit = off", prepare=False)
