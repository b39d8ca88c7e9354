"""Acknowledgements: a user states that they know about an open incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, namedtuple_row

from airflow_jobmon.core.model.incidents import fingerprint
from airflow_jobmon.core.model.silences import like_pattern
from airflow_jobmon.core.times import to_the_second
from airflow_jobmon.errors import UnknownIncident
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class IncidentSelector:
    """Selects open incidents: one by its id, or those of a job (or glob), of one kind if given."""

    incident_id: int | None = None
    name: str | None = None
    kind: str | None = None

    def __str__(self) -> str:
        if self.incident_id is not None:
            return f"incident {self.incident_id}"
        return f"{self.name or '*':.100}" + (f" ({self.kind})" if self.kind else "")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An open incident and who acknowledged it; `changed` is false if this call changed nothing."""

    incident_id: int
    job_name: str
    kind: str
    at: datetime | None
    by: str | None
    note: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class _Incident:
    id: int
    job_name: str
    kind: str
    error_message: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None


def acknowledge(
    conn: Connection[Any], selector: IncidentSelector, *, by: str, note: str | None
) -> list[Acknowledgement]:
    """Acknowledge all selected incidents that are open; one that is acknowledged already stays as it is.

    Raises UnknownIncident where none of them is open.
    """
    queries = load_queries("acknowledgements")
    with conn.transaction():
        new = [incident for incident in _open(conn, selector) if incident.acknowledged_at is None]
        given = {
            "ids": [incident.id for incident in new],
            "texts": [fingerprint(incident.error_message) for incident in new],
            "by": by,
            "note": note,
        }
        conn.execute(queries["acknowledge"], given)
        return _results(_open(conn, selector), changed={incident.id for incident in new})


def withdraw(conn: Connection[Any], selector: IncidentSelector) -> list[Acknowledgement]:
    """Withdraw acknowledgements: from now on the incidents are notified again as if they never had any.

    Raises UnknownIncident where none of the selected incidents is open.
    """
    queries = load_queries("acknowledgements")
    with conn.transaction():
        known = [incident for incident in _open(conn, selector) if incident.acknowledged_at is not None]
        conn.execute(queries["withdraw"], {"ids": [incident.id for incident in known]})
        conn.execute(queries["evaluate_soon"], {"names": sorted({incident.job_name for incident in known})})
        return _results(_open(conn, selector), changed={incident.id for incident in known})


def _results(incidents: Sequence[_Incident], *, changed: set[int]) -> list[Acknowledgement]:
    return [
        Acknowledgement(
            incident.id,
            incident.job_name,
            incident.kind,
            incident.acknowledged_at,
            incident.acknowledged_by,
            incident.acknowledged_note,
            incident.id in changed,
        )
        for incident in incidents
    ]


def _open(conn: Connection[Any], selector: IncidentSelector) -> list[_Incident]:
    queries = load_queries("acknowledgements")
    like = None if selector.name is None else like_pattern(selector.name)
    given = {"id": selector.incident_id, "like": like, "kind": selector.kind}
    conn.execute(queries["lock_states"], given)
    incidents = conn.cursor(row_factory=class_row(_Incident)).execute(queries["open"], given).fetchall()
    if not incidents:
        raise UnknownIncident(_why_none(conn, selector))
    return incidents


def _why_none(conn: Connection[Any], selector: IncidentSelector) -> str:
    if selector.incident_id is None:
        return f"{selector} has no open incident; list them with: airflow jobmon incidents"
    cursor = conn.cursor(row_factory=namedtuple_row)
    row: Any = cursor.execute(load_queries("acknowledgements")["incident"], {"id": selector.incident_id}).fetchone()
    if row is None:
        return f"there is no {selector}; list all with: airflow jobmon incidents --all"
    return (
        f"{selector} ({row.kind} of {row.job_name:.100}) was resolved at {to_the_second(row.resolved_at)}; "
        "only open incidents have an acknowledgement"
    )
