"""Reads what the page shows besides health and days: incidents, their deliveries, silences, watchers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row, namedtuple_row

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.reports.dashboard import Incident, LatestDelivery, MonitorStatus
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import stored_job
from airflow_jobmon.postgres.silences import list_silences


@dataclass(frozen=True, slots=True)
class RecentAlert:
    """An alert and its deliveries; there are none if it had no channel."""

    created_at: datetime
    kind: str
    event: str
    deliveries: tuple[LatestDelivery, ...]


def incidents(conn: Connection[Any], job_name: str | None = None, *, limit: int) -> list[Incident]:
    """Open incidents, worst first, then newest; with `job_name`, those of this job, followed by its resolved ones."""
    queries = load_queries("dashboard")
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(queries["incidents"], {"job_name": job_name, "limit": limit}).fetchall()
        found = [Incident(**{**row, "severity": Health(row["severity"])}) for row in rows]
        given = {"ids": [incident.id for incident in found]}
        deliveries = cursor.execute(queries["latest_deliveries"], given).fetchall()
    notified: dict[int, list[LatestDelivery]] = defaultdict(list)
    for delivery in deliveries:
        notified[delivery.pop("incident_id")].append(LatestDelivery(**delivery))
    return [replace(incident, notified=tuple(notified[incident.id])) for incident in found]


def finished_days(
    conn: Connection[Any], names: Sequence[str], since: date
) -> Mapping[str, Mapping[date, tuple[int, int]]]:
    """By job and UTC day since `since`: how many finished runs succeeded and failed."""
    found: dict[str, dict[date, tuple[int, int]]] = {name: {} for name in names}
    cursor = conn.cursor(row_factory=namedtuple_row)
    row: Any
    for row in cursor.execute(load_queries("dashboard")["finished"], {"names": sorted(found), "since": since}):
        found[row.name][row.day] = row.successful_runs, row.failed_runs
    return found


def silences(conn: Connection[Any]) -> list[Silence]:
    """Active silences, the last to end first."""
    return [Silence(row["name"], row["ends_at"], row["reason"], row["silenced_by"]) for row in list_silences(conn)]


def monitor_status(conn: Connection[Any]) -> MonitorStatus:
    with conn.cursor(row_factory=class_row(MonitorStatus)) as cursor:
        return cursor.execute(load_queries("dashboard")["monitor_status"]).fetchone() or MonitorStatus(0, None, None)


def undelivered(conn: Connection[Any], at: datetime, period: timedelta) -> list[tuple[str, int, str | None]]:
    """By channel: alerts of the last `period` that were rejected for good or have waited over ten minutes."""
    return conn.execute(load_queries("summaries")["undelivered"], {"at": at, "period": period}).fetchall()


def all_names(conn: Connection[Any]) -> list[str]:
    """The names of all jobs that were evaluated or registered."""
    return [name for (name,) in conn.execute(load_queries("dashboard")["names"])]


def registration(conn: Connection[Any], job_name: str) -> tuple[str, MonitoredJob] | None:
    """The source that registered the job, and its entry; None for an unregistered job."""
    row = conn.execute(load_queries("dashboard")["registration"], {"job_name": job_name}).fetchone()
    if row is None:
        return None
    source, config = row
    return source, stored_job(config)


def recent_runs(conn: Connection[Any], job_name: str, *, limit: int) -> list[Run]:
    """The newest runs of a job, newest first, archived ones included."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        given = {"job_name": job_name, "limit": limit}
        return cursor.execute(load_queries("dashboard")["recent_runs"], given).fetchall()


def recent_alerts(conn: Connection[Any], job_name: str, *, limit: int) -> list[RecentAlert]:
    """Newest first."""
    found: dict[int, RecentAlert] = {}
    cursor = conn.cursor(row_factory=namedtuple_row)
    row: Any
    for row in cursor.execute(load_queries("dashboard")["recent_alerts"], {"job_name": job_name, "limit": limit}):
        alert = found.setdefault(row.id, RecentAlert(row.created_at, row.kind, row.event, ()))
        if row.channel is not None:
            delivery = LatestDelivery(row.channel, row.state, row.sent_at, row.last_error)
            found[row.id] = replace(alert, deliveries=(*alert.deliveries, delivery))
    return list(found.values())
