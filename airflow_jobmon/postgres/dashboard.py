"""Reads what the page shows besides verdicts and days: incidents and who was told of them, silences, who watches."""

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
from airflow_jobmon.core.reports.dashboard import ChannelDelivery, Incident, WatcherStatus
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import stored_job
from airflow_jobmon.postgres.silences import list_silences


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert, and how each channel took it; `sent` is empty where it had no channel."""

    created_at: datetime
    kind: str
    event: str
    sent: tuple[ChannelDelivery, ...]


def incidents(conn: Connection[Any], job_name: str | None = None, *, limit: int) -> list[Incident]:
    """Open ones, the worst first and then the newest; of one job, if given, those that are over after them."""
    queries = load_queries("dashboard")
    rows = conn.execute(queries["incidents"], {"job_name": job_name, "limit": limit}).fetchall()
    found = [Incident(row[0], row[1], row[2], Health(row[3]), *row[4:]) for row in rows]
    deliveries: dict[int, list[ChannelDelivery]] = defaultdict(list)
    for incident_id, *delivery in conn.execute(queries["told"], {"ids": [incident.id for incident in found]}):
        deliveries[incident_id].append(ChannelDelivery(*delivery))
    return [replace(incident, deliveries=tuple(deliveries[incident.id])) for incident in found]


def finished_days(
    conn: Connection[Any], names: Sequence[str], since: date
) -> Mapping[str, Mapping[date, tuple[int, int]]]:
    """By job and UTC day from `since` on, how many of the runs that ended succeeded and failed."""
    found: dict[str, dict[date, tuple[int, int]]] = {name: {} for name in names}
    rows = conn.execute(load_queries("dashboard")["finished"], {"names": sorted(found), "since": since}).fetchall()
    for name, day, succeeded, failed in rows:
        found[name][day] = succeeded, failed
    return found


def silences(conn: Connection[Any]) -> list[Silence]:
    """Those in force, the last to end first."""
    return [Silence(row["name"], row["ends_at"], row["reason"], row["silenced_by"]) for row in list_silences(conn)]


def watcher_status(conn: Connection[Any]) -> WatcherStatus:
    return WatcherStatus(*(conn.execute(load_queries("dashboard")["watch"]).fetchone() or (0, None, None)))


def undelivered(conn: Connection[Any], at: datetime, period: timedelta) -> list[tuple[str, int, str | None]]:
    """By channel, the alerts of the last `period` that were refused for good or wait for over ten minutes."""
    return conn.execute(load_queries("summaries")["undelivered"], {"at": at, "period": period}).fetchall()


def all_names(conn: Connection[Any]) -> list[str]:
    """Of every job that was judged or registered."""
    return [name for (name,) in conn.execute(load_queries("dashboard")["names"])]


def registration(conn: Connection[Any], job_name: str) -> tuple[str, MonitoredJob] | None:
    """Who registered the job, and what is expected of it; None: nobody."""
    row = conn.execute(load_queries("dashboard")["registration"], {"job_name": job_name}).fetchone()
    return None if row is None else (row[0], stored_job(row[1]))


def recent_runs(conn: Connection[Any], job_name: str, *, limit: int) -> list[Run]:
    """Newest first, archived ones among them."""
    rows = conn.execute(load_queries("dashboard")["recent_runs"], {"job_name": job_name, "limit": limit})
    return [Run(*row) for row in rows]


def recent_alerts(conn: Connection[Any], job_name: str, *, limit: int) -> list[Alerted]:
    """Newest first."""
    found: dict[int, Alerted] = {}
    rows = conn.execute(load_queries("dashboard")["recent_alerts"], {"job_name": job_name, "limit": limit})
    for alert_id, created_at, kind, event, channel, state, sent_at, last_error in rows:
        alert = found.setdefault(alert_id, Alerted(created_at, kind, event, ()))
        if channel is not None:
            delivery = ChannelDelivery(channel, state, sent_at, last_error)
            found[alert_id] = replace(alert, sent=(*alert.sent, delivery))
    return list(found.values())
