"""Silences, kept in the database: made, changed, listed and lifted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg.rows import dict_row

from airflow_jobmon.core.model.silences import like_pattern, matches
from airflow_jobmon.core.times import to_the_second
from airflow_jobmon.errors import BusyProblem, UnknownSilence
from airflow_jobmon.postgres.queries import load_queries

_PATIENCE = "25s"
"""Longer than it takes until the session of a judge whose machine has vanished is ended."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """What silencing did: when it ends now and ended before (None: it is new), and whom it means at the moment."""

    ends_at: datetime
    ended_at: datetime | None
    jobs: int
    open_incidents: int


@dataclass(frozen=True, slots=True)
class Lifted:
    """What lifting did: when the silence ended, whether `now`, and how many open incidents that leaves to be told."""

    ended_at: datetime
    now: bool
    open_incidents: int


def silence(conn: Connection[Any], name: str, until: datetime | timedelta, *, reason: str, by: str) -> Silenced:
    """Keep a job, or all that a glob means, quiet until a moment, or for so long.

    A silence of that very name that is in force is changed: its end, earlier or later, its reason and who wants it.
    Raises BusyProblem, and nothing is changed, where judges or somebody else hold the jobs' states for too long.
    """
    queries = load_queries("silences")
    given = {
        "name": name,
        "until": until if isinstance(until, datetime) else None,
        "lasting": until if isinstance(until, timedelta) else None,
        "reason": reason,
        "by": by,
    }
    with conn.transaction():
        _lock(conn)
        row = conn.execute(queries["change"], given).fetchone() or conn.execute(queries["add"], given).fetchone()
        jobs, open_incidents = _touch(conn, name)
    if row is None:
        raise AssertionError  # RETURNING of an INSERT
    return Silenced(row[0], row[1], jobs, open_incidents)


def unsilence(conn: Connection[Any], name: str, *, by: str) -> Lifted:
    """End the silence of this very name now; one that has ended by itself is left as it is.

    Raises UnknownSilence where there was never one, naming those that do keep such a job quiet; BusyProblem as above.
    """
    queries = load_queries("silences")
    with conn.transaction():
        _lock(conn)
        row = conn.execute(queries["lift"], {"name": name, "by": by}).fetchone()
        if row is not None:
            return Lifted(row[0], now=True, open_incidents=_touch(conn, name)[1])
        ended = conn.execute(queries["last_ended"], {"name": name}).fetchone()
    if ended is not None:
        return Lifted(ended[0], now=False, open_incidents=0)
    raise UnknownSilence(_nothing_of_that_name(conn, name))


def list_silences(conn: Connection[Any], *, job: str | None = None, ended: bool = False) -> list[dict[str, Any]]:
    """Those in force, the last to end first, then, if asked, the `ended` ones; of one job (or name) if given."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_queries("silences")["list"], {"ended": ended}).fetchall()
    return [row for row in rows if job is None or row["name"] == job or matches(row["name"], job)]


def _lock(conn: Connection[Any]) -> None:
    queries = load_queries("silences")
    conn.execute(queries["patience"], {"patience": _PATIENCE})
    try:
        conn.execute(queries["lock"])
    except LockNotAvailable:
        raise BusyProblem(
            f"airflow_jobmon.silences or job_state was held by others for {_PATIENCE}, so nothing was changed; "
            "try again, or see in pg_locks who holds them"
        ) from None


def _touch(conn: Connection[Any], name: str) -> tuple[int, int]:
    """Have the next sweep judge the open incidents that a name means; how many jobs it means, and how many of those."""
    queries, given = load_queries("silences"), {"name": name, "like": like_pattern(name)}
    conn.execute(queries["judge_soon"], given)
    row = conn.execute(queries["affected"], given).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _nothing_of_that_name(conn: Connection[Any], name: str) -> str:
    said = f"there is no silence of {name[:100]!r}"
    if others := list_silences(conn, job=name):
        shown = ", ".join(f"{row['name'][:100]!r} until {to_the_second(row['ends_at'])}" for row in others[:5])
        return f"{said}; it is silenced by {shown}: lift that one"
    return f"{said}; see those in force with: airflow jobmon silence --list"
