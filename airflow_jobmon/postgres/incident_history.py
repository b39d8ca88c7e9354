"""One incident's history: when it opened, who was told of it, who knew, who wanted silence, and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from airflow_jobmon.core.model.incidents import state_of
from airflow_jobmon.core.model.silences import matches
from airflow_jobmon.core.times import roughly, to_the_second
from airflow_jobmon.errors import UnknownIncident
from airflow_jobmon.postgres.queries import load_queries

RESOLVED = "resolved"

Entry = dict[str, Any]


def incident_history(conn: Connection[Any], incident_id: int, *, failures: int) -> dict[str, Any]:
    """The incident, its state, and under `timeline` its history in order of time, at most so many failed runs in it.

    Raises UnknownIncident.
    """
    queries, given = load_queries("incident_history"), {"id": incident_id}
    with conn.cursor(row_factory=dict_row) as cursor:
        incident = cursor.execute(queries["incident"], given).fetchone()
    if incident is None:
        raise UnknownIncident(
            f"there is no incident {incident_id}; see those there are with: airflow jobmon incidents --all"
        )
    told = conn.execute(queries["alerts"], given).fetchall()
    silences = conn.execute(queries["silences"], _span(incident, told)).fetchall()
    runs = conn.execute(queries["failures"], {**given, "limit": failures}).fetchall()
    entries = [*_own(incident), *_alerts(told), *_silences(silences, incident["job_name"]), *_failures(runs)]
    return {**shown(incident), "timeline": sorted(entries, key=lambda entry: entry["at"])}


def shown(incident: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the state it is in instead of the moments that this follows from."""
    state = (
        RESOLVED
        if incident["resolved_at"] is not None
        else state_of(incident["told_at"], incident["silenced_at"], incident["acknowledged_at"]).value
    )
    rest = {key: value for key, value in incident.items() if key not in {"told_at", "silenced_at"}}
    place = list(rest).index("severity") + 1
    items = list(rest.items())
    return dict([*items[:place], ("state", state), *items[place:]])


def _span(incident: Mapping[str, Any], told: list[tuple[Any, ...]]) -> dict[str, datetime | None]:
    """From when it was noticed until its end was: that is dated back to the run that cured it."""
    cured_at = incident["resolved_at"]
    until = None if cured_at is None else max([cured_at, *(created_at for created_at, *_ in told)])
    return {"since": incident["detected_at"], "until": until}


def _own(incident: Mapping[str, Any]) -> Iterator[Entry]:
    yield _entry(incident["opened_at"], "opened", said=incident["kind"])
    yield _entry(incident["detected_at"], "noticed", said=incident["message"])
    if incident["acknowledged_at"] is not None:
        note = incident["acknowledged_note"]
        yield _entry(
            incident["acknowledged_at"],
            "acknowledged",
            said=f"by {incident['acknowledged_by']}" + (f": {note}" if note else ""),
        )
    if incident["resolved_at"] is not None:
        lasted = incident["resolved_at"] - incident["opened_at"]
        yield _entry(incident["resolved_at"], RESOLVED, said=f"it lasted {roughly(lasted)}")


def _alerts(rows: list[tuple[Any, ...]]) -> Iterator[Entry]:
    """A row per alert and channel; one that had no channel is there too."""
    for created_at, event, message, channel, state, sent_at, attempts, error in rows:
        if channel is None:
            yield _entry(created_at, f"alert {event}", said=f"no channel was configured: {message}")
            continue
        tries = f"after {attempts} attempts" if attempts > 1 else ""
        said = "; ".join(part for part in (tries, error or "") if part) or message
        yield _entry(sent_at or created_at, f"alert {event}, {state}", channel=channel, said=said)


def _silences(rows: list[tuple[Any, ...]], job_name: str) -> Iterator[Entry]:
    for name, starts_at, ends_at, reason, silenced_by, lifted_by in rows:
        if matches(name, job_name):
            yield _entry(
                starts_at, "silenced", said=f"{name} until {to_the_second(ends_at)} by {silenced_by}: {reason}"
            )
            if lifted_by is not None:
                yield _entry(ends_at, "silence lifted", said=f"{name} by {lifted_by}")


def _failures(rows: list[tuple[Any, ...]]) -> Iterator[Entry]:
    for run_id, started_at, at in rows:
        yield _entry(at, "failure counted", said=f"run {run_id}, started {to_the_second(started_at)}")


def _entry(at: datetime, what: str, *, said: str, channel: str | None = None) -> Entry:
    return {"at": at, "what": what, "channel": channel, "said": said}
