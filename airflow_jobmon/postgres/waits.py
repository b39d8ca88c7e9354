"""Looks up the runs that sensors and assets wait for: one wait of a worker, or all of a triggerer in one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, job_by_defaults, read_job
from airflow_jobmon.core.model.runs import SUCCESS, Run
from airflow_jobmon.core.model.successes import WINDOW, RecentSuccesses, SuccessLookup, SuccessMark
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import ConfigurationError, ConnectionProblem, JobmonError, SchemaProblem
from airflow_jobmon.postgres.connect import aconnect, connect
from airflow_jobmon.postgres.queries import load_queries

__all__ = [
    "TROUBLE",
    "aconnect",
    "changed_successes",
    "connect",
    "explained",
    "finished_run",
    "finished_runs",
    "is_refusal",
    "read_marks",
    "registered_job",
    "write_mark",
]

TROUBLE = (psycopg.Error, OSError, JobmonError)
"""Raised if the database is unavailable or answers with an error; anything else is a bug in this package."""

_FOR_NOW = ("starting up", "shutting down", "recovery", "too many", "connection slots", "terminating connection")
"""In the message of a server that refuses connections for now."""

AsyncConnection = psycopg.AsyncConnection[Any]


def finished_run(conn: psycopg.Connection[Any], wait: Wait) -> Run | None:
    """The run that ends this wait, or None while there is none. Raises a JobmonError of one line."""
    try:
        cursor = conn.cursor(row_factory=namedtuple_row)
        row = cursor.execute(load_queries("waits")["finished_runs"], _wait_parameters([wait])).fetchone()
    except psycopg.Error as error:
        raise explained(error) from error
    return None if row is None else _run(wait.job_name, row)


def registered_job(conn: psycopg.Connection[Any], job_name: str) -> MonitoredJob:
    """The registry entry of a job, or the defaults for a job that is not registered."""
    try:
        row = conn.execute(load_queries("waits")["registered_job"], {"job_name": job_name}).fetchone()
    except psycopg.Error as error:
        raise explained(error) from error
    if row is None:
        return job_by_defaults(job_name)
    (config,) = row
    return read_job({key: config[key] for key in config if key in MonitoredJob.model_fields} | {"name": job_name})


async def finished_runs(conn: AsyncConnection, waits: Sequence[Wait]) -> dict[Wait, Run | JobmonError]:
    """The runs that end some of these waits; an error for a wait that the server cannot look up.

    Such a wait (for instance a name that its encoding lacks) fails the whole query; the others are then looked up
    without it.
    """
    try:
        cursor = conn.cursor(row_factory=namedtuple_row)
        await cursor.execute(load_queries("waits")["finished_runs"], _wait_parameters(waits))
        rows: list[Any] = await cursor.fetchall()
    except psycopg.DataError as error:
        if len(waits) == 1:
            return {
                waits[0]: ConfigurationError(f"job {waits[0].job_name[:100]!r} cannot be looked up: {_line(error)}")
            }
        half = len(waits) // 2
        return await finished_runs(conn, waits[:half]) | await finished_runs(conn, waits[half:])
    ended = ((waits[row.nth - 1], row) for row in rows)
    return {wait: _run(wait.job_name, row) for wait, row in ended}


async def changed_successes(
    conn: AsyncConnection, jobs: Sequence[SuccessLookup]
) -> dict[int, tuple[int, RecentSuccesses]]:
    """By position in `jobs`, the new fingerprint and the successes of the jobs where these changed."""
    given = {
        "job_names": [job.job_name for job in jobs],
        "floors": [job.floor for job in jobs],
        "fingerprints": [job.fingerprint for job in jobs],
        "window": WINDOW,
    }
    cursor = conn.cursor(row_factory=namedtuple_row)
    await cursor.execute(load_queries("waits")["changed_successes"], given)
    changed: dict[int, tuple[int, RecentSuccesses]] = {}
    row: Any
    for row in await cursor.fetchall():
        job_name = jobs[row.nth - 1].job_name
        columns = (column or () for column in (row.ids, row.started, row.completed, row.records))
        runs = [
            Run(run_id, job_name, started_at, completed_at, SUCCESS, records)
            for run_id, started_at, completed_at, records in zip(*columns, strict=True)
        ]
        runs.sort(key=lambda run: run.started_at, reverse=True)
        changed[row.nth - 1] = row.fingerprint, RecentSuccesses(runs, row.oldest_start)
    return changed


async def read_marks(conn: AsyncConnection, job_names: Sequence[str]) -> Mapping[str, SuccessMark]:
    """By job, the successes that were announced as asset events; a job never watched before has no mark."""
    rows = await (await conn.execute(load_queries("waits")["marks"], {"job_names": list(job_names)})).fetchall()
    return {job_name: SuccessMark(frozenset(announced), floor) for job_name, announced, floor in rows}


async def write_mark(conn: AsyncConnection, job_name: str, mark: SuccessMark) -> None:
    await conn.execute(
        load_queries("waits")["write_mark"],
        {"job_name": job_name, "announced": sorted(mark.announced), "floor": mark.floor},
    )


def explained(error: Exception) -> JobmonError:
    """Any trouble with the database as one line that says what to do."""
    match error:
        case JobmonError():
            return error
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() | psycopg.errors.UndefinedColumn():
            return SchemaProblem(
                f"the database lacks what this package reads ({_line(error)}); run `airflow jobmon migrate`"
            )
        case psycopg.errors.InsufficientPrivilege():
            return SchemaProblem(
                f"{_line(error)}; grant this user the role jobmon_operator, as the grants file of the package does"
            )
        case psycopg.OperationalError() | psycopg.InterfaceError() | OSError():
            return ConnectionProblem(f"the database is unavailable: {_line(error) or type(error).__name__}")
        case _:
            return JobmonError(f"the database refused to look up runs: {_line(error) or type(error).__name__}")


def is_refusal(error: Exception) -> bool:
    """Whether only a person can fix this; otherwise the server is unavailable or too busy for now."""
    if isinstance(error, ConnectionProblem):
        cause = error.__cause__ or error.__context__
        if not isinstance(cause, psycopg.Error):
            return not isinstance(cause, OSError)  # no such connection, or one of the wrong kind
        error = cause
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        # libpq gives no SQLSTATE for a refused connection, and the words after FATAL may be translated.
        return "FATAL" in str(error) and not any(word in str(error) for word in _FOR_NOW)
    return not isinstance(error, OSError)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


def _wait_parameters(waits: Sequence[Wait]) -> dict[str, list[Any]]:
    return {
        "job_names": [wait.job_name for wait in waits],
        "sinces": [wait.since for wait in waits],
        "good_only": [wait.good_only for wait in waits],
        "min_records": [wait.min_records for wait in waits],
    }


def _run(job_name: str, row: Any) -> Run:
    return Run(row.id, job_name, row.started_at, row.completed_at, row.status, row.records_updated, row.error_message)
