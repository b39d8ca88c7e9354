"""Creates, changes, lists and lifts silences."""

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
"""Longer than it takes the server to end the session of a watcher whose machine has vanished."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """The outcome: when the silence ends, when it ended before (None: it is new), and how many jobs it matches now."""

    ends_at: datetime
    ended_at: datetime | None
    jobs: int
    open_incidents: int


@dataclass(frozen=True, slots=True)
class Lifted:
    """The outcome: when the silence ended, whether `now`, and how many open incidents may be notified again."""

    ended_at: datetime
    now: bool
    open_incidents: int


def silence(conn: Connection[Any], name: str, until: datetime | timedelta, *, reason: str, by: str) -> Silenced:
    """Silence a job, or all jobs that a glob matches, until a time or for a duration.

    An active silence of the same name is changed: its end (earlier or later), its reason and its author.
    Raises BusyProblem, and changes nothing, where other sessions lock the states of the jobs for too long.
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
        with conn.cursor(row_factory=dict_row) as cursor:
            stored = cursor.execute(queries["change"], given).fetchone()
            stored = stored or cursor.execute(queries["add"], given).fetchone()
        jobs, open_incidents = _evaluate_soon(conn, name)
    assert stored is not None  # noqa: S101 - an INSERT returns its row
    return Silenced(stored["ends_at"], stored["ended_at"], jobs, open_incidents)


def unsilence(conn: Connection[Any], name: str, *, by: str) -> Lifted:
    """End the active silence of exactly this name now; one that has ended already stays as it is.

    Raises UnknownSilence where there was never one, with the silences that do match such a job; BusyProblem as above.
    """
    queries = load_queries("silences")
    with conn.transaction():
        _lock(conn)
        lifted = conn.execute(queries["lift"], {"name": name, "by": by}).fetchone()
        if lifted is not None:
            (ended_at,) = lifted
            return Lifted(ended_at, now=True, open_incidents=_evaluate_soon(conn, name)[1])
        ended = conn.execute(queries["last_ended"], {"name": name}).fetchone()
    if ended is None:
        raise UnknownSilence(_no_such_silence(conn, name))
    (ended_at,) = ended
    return Lifted(ended_at, now=False, open_incidents=0)


def list_silences(conn: Connection[Any], *, job: str | None = None, ended: bool = False) -> list[dict[str, Any]]:
    """Active silences, the last to end first, and with `ended` ended ones after them; of one job (or name) if given."""
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
            f"airflow_jobmon.silences or job_state was locked by other sessions for {_PATIENCE}, so nothing was "
            "changed; try again, or find these sessions in pg_locks"
        ) from None


def _evaluate_soon(conn: Connection[Any], name: str) -> tuple[int, int]:
    """Make the matching jobs with open incidents due for evaluation; return how many jobs and incidents match."""
    queries, given = load_queries("silences"), {"name": name, "like": like_pattern(name)}
    conn.execute(queries["evaluate_soon"], given)
    jobs, open_incidents = conn.execute(queries["affected"], given).fetchone() or (0, 0)
    return jobs, open_incidents


def _no_such_silence(conn: Connection[Any], name: str) -> str:
    said = f"there is no silence of {name[:100]!r}"
    if others := list_silences(conn, job=name):
        shown = ", ".join(f"{row['name'][:100]!r} until {to_the_second(row['ends_at'])}" for row in others[:5])
        return f"{said}; it is silenced by {shown}: lift that silence"
    return f"{said}; see those in force with: airflow jobmon silence --list"
