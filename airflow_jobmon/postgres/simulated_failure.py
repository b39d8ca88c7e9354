"""Inserts the failed run of a drill into the user's job log, and deletes it again; touches no other row.

Every problem is found before the commit: whether the table accepts the row, whether the run would be read as a drill,
and whether it could be deleted. A refusal has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from psycopg.rows import class_row, dict_row

from airflow_jobmon.core.drills.drills import simulated_error
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class SimulatedFailure:
    """The run that was inserted. noted: whether the trigger wrote an event for it. at: by the database's clock."""

    run_id: str
    at: datetime
    table: str
    noted: bool


@dataclass(frozen=True, slots=True)
class _OwnRun:
    drill: bool
    noted: bool


@dataclass(frozen=True, slots=True)
class _JobLog:
    table: str
    failed: str
    columns: Mapping[str, str | None]
    records: str | None

    def column(self, ours: str) -> sql.Identifier:
        return sql.Identifier(self.columns[ours] or ours)

    @property
    def relation(self) -> sql.SQL:
        """As the server wrote it, with its quotes."""
        return sql.SQL(self.table)


def simulate_failure(conn: Connection[Any], drill_id: UUID, job_name: str) -> SimulatedFailure:
    """Insert a failed run of this job that is marked as the drill's, and record it in the drill's journal.

    Raises SchemaProblem, with what the table needs, where it refuses the row or the run would not be read as a drill.
    """
    queries = load_queries("simulated_failure")
    log = _job_log(conn)
    if log.columns["error_message"] is None:
        raise SchemaProblem(
            f"{log.table} has no column error_message, so nothing could mark a failed run as a drill; add it "
            f"(ALTER TABLE {log.table} ADD error_message text) or map it in [jobmon] jobs_log_columns, then run "
            "airflow jobmon migrate"
        )
    try:
        with conn.transaction():
            conn.execute(queries["session"])
            run_id = _insert(conn, log, drill_id, job_name)
            given = {"job_name": job_name, "run_id": run_id}
            shown = conn.cursor(row_factory=class_row(_OwnRun)).execute(queries["own_run"], given).fetchone()
            _refuse_unless_a_drill(log, shown)
            _prove_deletable(conn, log, drill_id, run_id)
            at: datetime = _first(conn.execute(queries["keep_run"], {"id": drill_id, "run_id": run_id}))
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate[:2] in {"08", "57"}:
            raise
        raise _refused(conn, log, error) from None
    return SimulatedFailure(run_id, at, log.table, shown is not None and shown.noted)


def remove_simulated(conn: Connection[Any], drill_id: UUID, job_name: str, run_id: str) -> int:
    """Delete this drill's run from the job log, and its event if no watcher took it; returns the number of runs."""
    log = _job_log(conn)
    try:
        with conn.transaction():
            conn.execute(load_queries("simulated_failure")["session"])
            removed = _delete(conn, log, drill_id, run_id)
            conn.execute(load_queries("simulated_failure")["forget_event"], {"job_name": job_name, "run_id": run_id})
    except (psycopg.errors.IntegrityError, psycopg.errors.ProgrammingError) as error:
        raise SchemaProblem(
            f"the simulated failure cannot be deleted from {log.table}: {_said(error)}; delete it by hand, "
            f"its error is {simulated_error(drill_id)!r}"
        ) from None
    return removed


def _job_log(conn: Connection[Any]) -> _JobLog:
    row = conn.cursor(row_factory=dict_row).execute(load_queries("simulated_failure")["job_log"]).fetchone()
    if row is None or row["jobs_log_table"] is None:
        raise SchemaProblem("no job log is attached; run: airflow jobmon migrate")
    words = row["failed_words"]
    return _JobLog(row["jobs_log_table"], words[0] if words else "failed", row["columns"], row["records_column"])


def _insert(conn: Connection[Any], log: _JobLog, drill_id: UUID, job_name: str) -> str:
    """Text is sent without a type, so that each column reads it as its own type."""
    statement = sql.SQL(
        "INSERT INTO {table} ({job_name}, {started_at}, {completed_at}, {status}, {error_message}{records})"
        " VALUES (%(job_name)s, clock_timestamp(), clock_timestamp(), %(status)s, %(error)s{none}) RETURNING {id}::text"
    ).format(
        table=log.relation,
        records=sql.SQL(", {}").format(sql.Identifier(log.records)) if log.records else sql.SQL(""),
        none=sql.SQL(", 0" if log.records else ""),
        **{ours: log.column(ours) for ours in log.columns},
    )
    given = {"job_name": job_name, "status": log.failed, "error": simulated_error(drill_id)}
    row = conn.execute(statement, given).fetchone()
    if row is None:
        raise SchemaProblem(f"{log.table} discarded the simulated failure: one of its triggers or rules skips the row")
    if row[0] is None:
        raise SchemaProblem(f"{log.table} gave the simulated failure no {log.columns['id']}; {_give_default(log)}")
    return str(row[0])


def _refuse_unless_a_drill(log: _JobLog, shown: _OwnRun | None) -> None:
    if shown is None:
        raise SchemaProblem(
            f"airflow_jobmon.runs would not show the simulated failure: row level security or a trigger on "
            f"{log.table} hides or changes it; nothing was changed"
        )
    if not shown.drill:
        raise SchemaProblem(
            f"the simulated failure would count as a real one: {log.table} does not keep status {log.failed!r} and the "
            "error as they are written; check its triggers and the types of both columns, and [jobmon] status_words; "
            "nothing was changed"
        )


def _prove_deletable(conn: Connection[Any], log: _JobLog, drill_id: UUID, run_id: str) -> None:
    """Delete it and roll that back: a drill must not leave a row that it cannot delete."""
    with conn.transaction(force_rollback=True):
        if _delete(conn, log, drill_id, run_id) != 1:
            raise SchemaProblem(
                f"{log.table} would not let the simulated failure be deleted (row level security, or a trigger of its "
                "own); nothing was changed"
            )


def _delete(conn: Connection[Any], log: _JobLog, drill_id: UUID, run_id: str) -> int:
    statement = sql.SQL("DELETE FROM {table} WHERE {id} = %(run_id)s AND {error_message}::text = %(error)s").format(
        table=log.relation, id=log.column("id"), error_message=log.column("error_message")
    )
    return conn.execute(statement, {"run_id": run_id, "error": simulated_error(drill_id)}).rowcount


def _refused(conn: Connection[Any], log: _JobLog, error: psycopg.Error) -> SchemaProblem:
    column, constraint = error.diag.column_name, error.diag.constraint_name
    match error.sqlstate:
        case "23502" if column == log.columns["id"]:
            what = _give_default(log)
        case "23502":
            what = (
                f"column {column} requires a value and has no default, and a drill knows only the columns of a run; "
                f"give it one (ALTER TABLE {log.table} ALTER {column} SET DEFAULT ...)"
            )
        case "23514" if constraint:
            what = f"let constraint {constraint} admit it, or exempt errors that start with TEST ALERT"
        case "23503":
            what = (
                f"constraint {constraint} refers to another table, which lacks the job; run the drill for a job "
                "that it has"
            )
        case "42501":
            what = f"GRANT SELECT, INSERT, DELETE ON {log.table} TO {sql.Identifier(conn.info.user).as_string(conn)}"
        case "55P03":
            what = "another session holds a lock on it; try again later"
        case _:
            what = "a drill inserts a failed run with an error text, which the table must accept"
    return SchemaProblem(
        f"{log.table} does not accept the simulated failure: {_said(error)}; {what}; nothing was changed"
    )


def _give_default(log: _JobLog) -> str:
    return (
        f"column {log.columns['id']} of {log.table} has no default, and a drill does not invent ids; give it a "
        f"default, like ALTER TABLE {log.table} ALTER {log.columns['id']} SET DEFAULT gen_random_uuid()"
    )


def _first(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip() or type(error).__name__
