"""Acknowledgements: somebody says that they know of an open incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from airflow_jobmon.core.model.incidents import fingerprint
from airflow_jobmon.core.model.silences import like_pattern
from airflow_jobmon.core.times import to_the_second
from airflow_jobmon.errors import UnknownIncident
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class Meant:
    """Which open incidents: one by its id, or those of a job (or glob), of one kind if given."""

    incident_id: int | None = None
    name: str | None = None
    kind: str | None = None

    def __str__(self) -> str:
        if self.incident_id is not None:
            return f"incident {self.incident_id}"
        return f"{self.name or '*':.100}" + (f" ({self.kind})" if self.kind else "")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An open incident and who acknowledged it; `changed` is false where it was so already."""

    incident_id: int
    job_name: str
    kind: str
    at: datetime | None
    by: str | None
    note: str | None
    changed: bool


def acknowledge(conn: Connection[Any], meant: Meant, *, by: str, note: str | None) -> list[Acknowledged]:
    """Of what is meant, all that is open; what somebody acknowledged before stays theirs.

    Raises UnknownIncident where nothing of it is open.
    """
    queries = load_queries("acknowledgements")
    with conn.transaction():
        before = _open(conn, meant)
        new = [(row[0], fingerprint(row[3])) for row in before if row[4] is None]
        conn.execute(
            queries["acknowledge"],
            {"ids": [number for number, _ in new], "texts": [text for _, text in new], "by": by, "note": note},
        )
        return _results(_open(conn, meant), changed={number for number, _ in new})


def withdraw(conn: Connection[Any], meant: Meant) -> list[Acknowledged]:
    """Take acknowledgements back: from now on these incidents are told again as if there had been none.

    Raises UnknownIncident where nothing of what is meant is open.
    """
    queries = load_queries("acknowledgements")
    with conn.transaction():
        known = [row for row in _open(conn, meant) if row[4] is not None]
        conn.execute(queries["withdraw"], {"ids": [row[0] for row in known]})
        conn.execute(queries["judge_soon"], {"names": sorted({row[1] for row in known})})
        return _results(_open(conn, meant), changed={row[0] for row in known})


def _results(rows: Sequence[Sequence[Any]], *, changed: set[int]) -> list[Acknowledged]:
    return [
        Acknowledged(number, job_name, kind, at, by, note, number in changed)
        for number, job_name, kind, _, at, by, note in rows
    ]


def _open(conn: Connection[Any], meant: Meant) -> list[tuple[Any, ...]]:
    queries = load_queries("acknowledgements")
    like = None if meant.name is None else like_pattern(meant.name)
    given = {"id": meant.incident_id, "like": like, "kind": meant.kind}
    conn.execute(queries["lock_states"], given)
    rows = conn.execute(queries["open"], given).fetchall()
    if not rows:
        raise UnknownIncident(_why_nothing(conn, meant))
    return rows


def _why_nothing(conn: Connection[Any], meant: Meant) -> str:
    if meant.incident_id is None:
        return f"nothing is open of {meant}; see what is with: airflow jobmon incidents"
    given = {"id": meant.incident_id}
    row = conn.execute(load_queries("acknowledgements")["incident"], given).fetchone()
    if row is None:
        return f"there is no {meant}; see those there are with: airflow jobmon incidents --all"
    job_name, kind, resolved_at = row
    return f"{meant} ({kind} of {job_name:.100}) was resolved at {to_the_second(resolved_at)}; nothing is left to do"
