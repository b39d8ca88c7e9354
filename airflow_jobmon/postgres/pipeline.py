"""Transactions in few round trips: statements are sent together, and the COMMIT with the last of them.

A round trip costs about 0.2 ms on an idle machine and several on a busy one, and an alert takes some twenty statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

from psycopg import Connection, Pipeline
from psycopg.pq import TransactionStatus

T = TypeVar("T")

Pending = Callable[[], T]
"""The result of a query that was sent already; calling it waits for that result. Send all queries first, then call."""

Sync = Callable[[], None]
"""Ends a round trip: sends the queued statements and waits until the server has answered all of them.

Reading a result without it waits too, but the server then counts the session as active, and its
idle_in_transaction_session_timeout does not end a transaction whose client has vanished.
"""

_SET = """
SELECT set_config(name, text, true) FROM unnest(%(names)s::text[], %(texts)s::text[]) AS given (name, text)
"""
_OPEN = {TransactionStatus.INTRANS, TransactionStatus.INERROR}


NOT_DURABLE = {"synchronous_commit": "off"}
"""COMMIT does not wait for the disk. If the server crashes soon after, the whole transaction is lost, unless
a later transaction of any session, one that does wait, was committed by then."""

PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan", "jit": "off"}
"""One plan serves a list of one job and of five hundred: planning for each list costs more than looking up one job, and
compiling a query that the planner estimates to be long costs more than running it."""


@contextmanager
def transaction(conn: Connection[Any], settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Sync]:
    """A transaction under these settings. Its statements are sent at each sync, and at the end of the block.

    So a later statement, or the end of the block, may raise the error of one before; everything is rolled back then.
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
            # After a failed statement the server skips the rest of the round trip, so this never commits half.
            conn.execute("COMMIT", prepare=False)
    except BaseException:
        if conn.info.transaction_status in _OPEN:
            conn.execute("ROLLBACK")
        raise


def _set(conn: Connection[Any], settings: Mapping[str, str]) -> None:
    if settings:
        given = {"names": list(settings), "texts": list(settings.values())}
        conn.execute(_SET, given)
