"""Stores reports, and the messages that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from airflow_jobmon.core.model.report import Report
from airflow_jobmon.postgres.outbox import register_channels
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class ReportMessage:
    """One report on one channel. state: `open` (to be sent, perhaps again), `sent` or `dead` (rejected for good)."""

    channel: str
    state: str
    attempts: int
    sent_at: datetime | None
    last_error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredReport:
    """details: the report as JSON."""

    id: int
    created_at: datetime
    details: dict[str, Any]


def store_report(
    conn: Connection[Any], report: Report, bodies: Mapping[str, tuple[UUID, bytes]], *, key: str | None = None
) -> int:
    """Store a report, and for each channel the message (key and bytes) that a deliverer sends; returns its id.

    key: identifies the report where it is made again; then only channels that lack it, or rejected it, get a message.
    """
    queries = load_queries("reports")
    register_channels(conn, list(bodies))
    with conn.transaction():
        given = {"kind": report.kind, "title": report.title, "details": Jsonb(report.as_json()), "key": key}
        row = conn.execute(queries["store_report"], given).fetchone()
        report_id = int(row[0]) if row else 0
        messages = {
            "report_id": report_id,
            "ids": [key for key, _ in bodies.values()],
            "channels": list(bodies),
            "bodies": [body for _, body in bodies.values()],
        }
        conn.execute(queries["store_messages"], messages)
        conn.execute(queries["wake"])
    return report_id


def messages_of(conn: Connection[Any], report_id: int) -> list[ReportMessage]:
    """The newest message of each channel, by channel."""
    with conn.cursor(row_factory=class_row(ReportMessage)) as cursor:
        return cursor.execute(load_queries("reports")["messages_of"], {"report_id": report_id}).fetchall()


def latest_report(
    conn: Connection[Any], kind: str, *, but: str | None = None, job_name: str | None = None
) -> StoredReport | None:
    """The newest report of a kind and of all jobs, or of `job_name` alone, other than that with the key `but`."""
    given = {"kind": kind, "but": but, "job_name": job_name}
    with conn.cursor(row_factory=class_row(StoredReport)) as cursor:
        return cursor.execute(load_queries("reports")["latest"], given).fetchone()
