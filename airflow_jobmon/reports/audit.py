"""The monthly audit: exports every monitoring query with a manifest, and finds new error texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from airflow_jobmon import __version__
from airflow_jobmon.core.model.incidents import fingerprint
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.rendering.csv_export import csv_text
from airflow_jobmon.core.reports.audit import (
    Audit,
    ExportedFile,
    NewError,
    archive_part,
    audit_report,
    drill_part,
    jobs_reaching_every_channel,
)
from airflow_jobmon.core.times import iso
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres.monitoring_queries import QueryResult, list_queries, run_query
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import list_jobs
from airflow_jobmon.postgres.reports import latest_report
from airflow_jobmon.reports.summaries import page_of
from airflow_jobmon.settings import Settings

Connection = psycopg.Connection[Any]
Keep = Callable[[str, bytes], str]
"""Writes a file with this name and content to the export's directory, and returns its URI."""

_FIRST = timedelta(days=31)
"""The period in which the first audit looks for new error texts."""


@dataclass(frozen=True, slots=True)
class QueryExport:
    """The files written, without the manifest, and the manifest's URI."""

    files: Sequence[ExportedFile]
    manifest: str


def export_queries(conn: Connection, keep: Keep, *, job_name: str | None, now: datetime) -> QueryExport:
    """Export every monitoring query as CSV and JSON, then a manifest of row counts and checksums."""
    files = list(_files(conn, keep, job_name))
    manifest = {
        "made_by": f"airflow_jobmon {__version__}",
        "made_at": iso(now),
        "job_name": job_name,
        "files": [{"name": found.name, "rows": found.rows, "sha256": found.sha256} for found in files],
    }
    return QueryExport(files, keep("manifest.json", json.dumps(manifest, indent=2).encode()))


def _files(conn: Connection, keep: Keep, job_name: str | None) -> Iterator[ExportedFile]:
    for query in list_queries():
        result = run_query(conn, query.name, job_name)
        for name, content in (
            (f"{query.name}.csv", csv_text(result.columns, result.rows)),
            (f"{query.name}.json", _json(result)),
        ):
            written = content.encode("utf-8", "replace")
            keep(name, written)
            yield ExportedFile(name, len(result.rows), sha256(written).hexdigest())


def _json(result: QueryResult) -> str:
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    return json.dumps(rows, indent=1, ensure_ascii=False, default=_native)


def _native(value: Any) -> str:
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def new_errors(conn: Connection, since: datetime, now: datetime, *, job_name: str | None = None) -> list[NewError]:
    """Error texts, digits and ids aside, of runs since `since` that no run of the 400 days before had."""
    given = {"since": since, "until": now, "job_name": job_name}
    known: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], NewError] = {}
    cursor = conn.cursor(row_factory=namedtuple_row)
    rows: list[Any] = cursor.execute(load_queries("audit")["error_texts"], given).fetchall()
    for row in rows:
        if not row.recent:
            known.add((row.job_name, fingerprint(row.error)))
    for row in rows:
        key = (row.job_name, fingerprint(row.error))
        if row.recent and key not in known:
            before = found.get(key, NewError(row.job_name, row.error, 0, row.first_at))
            first_at = min(row.first_at, before.first_at)
            found[key] = replace(before, runs=before.runs + row.runs, first_at=first_at)
    return sorted(found.values(), key=lambda one: (-one.runs, one.job_name, one.error))


def drill_targets(conn: Connection, settings: Settings, job_name: str | None) -> list[str]:
    """Jobs whose drills together reach every channel: the named one, then as few others as necessary."""
    return jobs_reaching_every_channel(_reached(conn, settings), frozenset(settings.channels), job_name)


def _reached(conn: Connection, settings: Settings) -> dict[str, frozenset[str]]:
    """The channels of each registered, enabled job."""
    usual = frozenset(settings.channels)
    jobs = [entry.job for entry in list_jobs(conn) if entry.job.enabled]
    return {job.name: usual if job.channels is None else frozenset(job.channels) for job in jobs}


def audit(
    conn: Connection,
    settings: Settings,
    keep: Keep,
    *,
    job_name: str | None = None,
    archive: Mapping[str, Any] | None,
    drills: Sequence[Sequence[Mapping[str, Any]] | None] | None,
    drilled: bool = True,
    now: datetime | None = None,
    key: str | None = None,
) -> Report:
    """Export and report. `archive`, `drills`: the results of archiving and of each drill, None if it did not finish.

    drilled: whether a drill was requested. key: earlier tries of this audit have the same key and do not count as the
    last audit.
    """
    at = now or datetime.now(UTC)
    last = latest_report(conn, "audit", but=key, job_name=job_name)
    channels = frozenset(settings.channels).union(*_reached(conn, settings).values())
    exported = export_queries(conn, keep, job_name=job_name, now=at)
    made = Audit(
        job_name=job_name,
        healths=assess_jobs(conn, settings, [job_name] if job_name else None),
        since=last.created_at if last else None,
        files=exported.files,
        kept_at=exported.manifest.rpartition("/")[0],
        archive=archive_part(archive),
        drill=drill_part(drills, wanted=drilled, channels=channels),
        errors=new_errors(conn, last.created_at if last else at - _FIRST, at, job_name=job_name),
    )
    return audit_report(made, at=at, page=page_of(settings))
