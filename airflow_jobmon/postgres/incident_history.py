"""One incident's history: its opening, alerts, silences, acknowledgement, counted failures, and its resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
Row = Mapping[str, Any]


def incident_history(conn: Connection[Any], incident_id: int, *, failures: int) -> dict[str, Any]:
    """The incident and its state, and under `timeline` what happened, in order, with at most `failures` failed runs.

    Raises UnknownIncident.
    """
    queries, given = load_queries("incident_history"), {"id": incident_id}
    with conn.cursor(row_factory=dict_row) as cursor:
        incident = cursor.execute(queries["incident"], given).fetchone()
        if incident is None:
            raise UnknownIncident(f"there is no incident {incident_id}; list all with: airflow jobmon incidents --all")
        alerts = cursor.execute(queries["alerts"], given).fetchall()
        silences = cursor.execute(queries["silences"], _period(incident, alerts)).fetchall()
        runs = cursor.execute(queries["failures"], {**given, "limit": failures}).fetchall()
    entries = [*_own(incident), *_alerts(alerts), *_silences(silences, incident["job_name"]), *_failures(runs)]
    return {**with_state(incident), "timeline": sorted(entries, key=lambda entry: entry["at"])}


def with_state(incident: Mapping[str, Any]) -> dict[str, Any]:
    """A row of an incident, with its state instead of the times that the state follows from."""
    state = (
        RESOLVED
        if incident["resolved_at"] is not None
        else state_of(incident["told_at"], incident["silenced_at"], incident["acknowledged_at"]).value
    )
    rest = {key: value for key, value in incident.items() if key not in {"told_at", "silenced_at"}}
    place = list(rest).index("severity") + 1
    items = list(rest.items())
    return dict([*items[:place], ("state", state), *items[place:]])


def _period(incident: Mapping[str, Any], alerts: Sequence[Row]) -> dict[str, datetime | None]:
    """From when the incident was detected until its resolution was, which is later than the run that resolved it."""
    resolved_at = incident["resolved_at"]
    until = None if resolved_at is None else max([resolved_at, *(alert["created_at"] for alert in alerts)])
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


def _alerts(rows: Sequence[Row]) -> Iterator[Entry]:
    """A row per alert and channel; an alert without a channel has one row, too."""
    for row in rows:
        event, message = row["event"], row["message"]
        if row["channel"] is None:
            yield _entry(row["created_at"], f"alert {event}", said=f"no channel was configured: {message}")
            continue
        attempts = f"after {row['attempts']} attempts" if row["attempts"] > 1 else ""
        said = "; ".join(part for part in (attempts, row["last_error"] or "") if part) or message
        at = row["sent_at"] or row["created_at"]
        yield _entry(at, f"alert {event}, {row['state']}", channel=row["channel"], said=said)


def _silences(rows: Sequence[Row], job_name: str) -> Iterator[Entry]:
    for row in rows:
        name, ends_at = row["name"], row["ends_at"]
        if matches(name, job_name):
            said = f"{name} until {to_the_second(ends_at)} by {row['silenced_by']}: {row['reason']}"
            yield _entry(row["starts_at"], "silenced", said=said)
            if row["lifted_by"] is not None:
                yield _entry(ends_at, "silence lifted", said=f"{name} by {row['lifted_by']}")


def _failures(rows: Sequence[Row]) -> Iterator[Entry]:
    for row in rows:
        said = f"run {row['run_id']}, started {to_the_second(row['started_at'])}"
        yield _entry(row["at"], "failure counted", said=said)


def _entry(at: datetime, what: str, *, said: str, channel: str | None = None) -> Entry:
    return {"at": at, "what": what, "channel": channel, "said": said}
