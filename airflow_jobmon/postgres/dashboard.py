"""Reads what the page shows besides health and days: incidents, their deliveries, silences, watchers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.reports.dashboard import Incident, LatestDelivery, MonitorStatus
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import stored_job
from airflow_jobmon.postgres.silences import list_silences


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert and its deliveries; `sent` is empty if it had no channel."""

    created_at: datetime
    kind: str
    event: str
    sent: tuple[LatestDelivery, ...]


def incidents(conn: Connection[Any], job_name: str | None = None, *, limit: int) -> list[Incident]:
    """Open ones, worst first, then newest; with `job_name`, those of this job, followed by its resolved ones."""
    queries = load_queries("dashboard")
    rows = conn.execute(queries["incidents"], {"job_name": job_name, "limit": limit}).fetchall()
    found = [Incident(row[0], row[1], row[2], Health(row[3]), *row[4:]) for row in rows]
    notified: dict[int, list[LatestDelivery]] = defaultdict(list)
    for incident_id, *delivery in conn.execute(queries["told"], {"ids": [incident.id for incident in found]}):
        notified[incident_id].append(LatestDelivery(*delivery))
    return [replace(incident, notified=tuple(notified[incident.id])) for incident in found]


def finished_days(
    conn: Connection[Any], names: Sequence[str], since: date
) -> Mapping[str, Mapping[date, tuple[int, int]]]:
    """By job and UTC day since `since`: how many finished runs succeeded and failed."""
    found: dict[str, dict[date, tuple[int, int]]] = {name: {} for name in names}
    rows = conn.execute(load_queries("dashboard")["finished"], {"names": sorted(found), "since": since}).fetchall()
    for name, day, succeeded, failed in rows:
        found[name][day] = succeeded, failed
    return found


def silences(conn: Connection[Any]) -> list[Silence]:
    """Active silences, the last to end first."""
    return [Silence(row["name"], row["ends_at"], row["reason"], row["silenced_by"]) for row in list_silences(conn)]


def monitor_status(conn: Connection[Any]) -> MonitorStatus:
    return MonitorStatus(*(conn.execute(load_queries("dashboard")["watch"]).fetchone() or (0, None, None)))


def undelivered(conn: Connection[Any], at: datetime, period: timedelta) -> list[tuple[str, int, str | None]]:
    """By channel: alerts of the last `period` that were rejected for good or have waited over ten minutes."""
    return conn.execute(load_queries("summaries")["undelivered"], {"at": at, "period": period}).fetchall()


def all_names(conn: Connection[Any]) -> list[str]:
    """The names of all jobs that were evaluated or registered."""
    return [name for (name,) in conn.execute(load_queries("dashboard")["names"])]


def registration(conn: Connection[Any], job_name: str) -> tuple[str, MonitoredJob] | None:
    """The source that registered the job, and its entry; None for an unregistered job."""
    row = conn.execute(load_queries("dashboard")["registration"], {"job_name": job_name}).fetchone()
    return None if row is None else (row[0], stored_job(row[1]))


def recent_runs(conn: Connection[Any], job_name: str, *, limit: int) -> list[Run]:
    """Newest first, archived runs included."""
    rows = conn.execute(load_queries("dashboard")["recent_runs"], {"job_name": job_name, "limit": limit})
    return [Run(*row) for row in rows]


def recent_alerts(conn: Connection[Any], job_name: str, *, limit: int) -> list[Alerted]:
    """Newest first."""
    found: dict[int, Alerted] = {}
    rows = conn.execute(load_queries("dashboard")["recent_alerts"], {"job_name": job_name, "limit": limit})
    for alert_id, created_at, kind, event, channel, state, sent_at, last_error in rows:
        alert = found.setdefault(alert_id, Alerted(created_at, kind, event, ()))
        if channel is not None:
            delivery = LatestDelivery(channel, state, sent_at, last_error)
            found[alert_id] = replace(alert, sent=(*alert.sent, delivery))
    return list(found.values())
