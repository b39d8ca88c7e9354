"""Transactions that cross the wire seldom: statements are sent together, and the COMMIT with the last of them.

Each crossing costs some 0.2 ms where nothing else runs and several where much does, and an alert takes some twenty
statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

from psycopg import Connection, Pipeline
from psycopg.pq import TransactionStatus

T = TypeVar("T")

Answer = Callable[[], T]
"""Something that was asked already; calling it waits until it is known. Ask everything first, then call."""

Arrive = Callable[[], None]
"""Ends a trip: sends what was asked and waits until all of it is answered.

A result that is read without it is waited for as well, but the server then takes us for busy, and its
idle_in_transaction_session_timeout does not end a transaction whose machine has vanished.
"""

_SET = """
SELECT set_config(name, text, true) FROM unnest(%(names)s::text[], %(texts)s::text[]) AS given (name, text)
"""
_OPEN = {TransactionStatus.INTRANS, TransactionStatus.INERROR}


NOT_DURABLE = {"synchronous_commit": "off"}
"""Does not wait for the disk: should the server crash within the next moments, none of the transaction happened, unless
a later one that does wait, whoever makes it, was committed by then."""

PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan", "jit": "off"}
"""Lists of one and of five hundred are looked up alike: planning each anew costs more than looking up one, and
compiling what the planner takes for a long query costs more than running it."""


@contextmanager
def transaction(conn: Connection[Any], settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Arrive]:
    """A transaction, under these settings, whose statements only leave at the end of a trip, or at the end.

    What a statement raises may therefore come from a later one, or from the end of the block; all is rolled back then.
    """
    if not Pipeline.is_supported():  # libpq before 14
        with conn.transaction():
            _set(conn, settings)
            yield lambda: None
        return
    try:
        with conn.pipeline() as pipeline:
            conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
            _set(conn, settings)
            yield pipeline.sync
            # After a failed statement the server skips what follows in the same trip, so this never commits half.
            conn.execute("COMMIT", prepare=False)
    except BaseException:
        if conn.info.transaction_status in _OPEN:
            conn.execute("ROLLBACK")
        raise


def _set(conn: Connection[Any], settings: Mapping[str, str]) -> None:
    if settings:
        given = {"names": list(settings), "texts": list(settings.values())}
        conn.execute(_SET, given)
