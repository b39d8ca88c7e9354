"""`migrate`: brings the database to what this package needs, and ties it to the user's table.

Three steps. The schema, in one transaction that takes no lock a job waits for; wrong settings are found there, before
anything is changed. The triggers, whose lock writers wait for: requested briefly, again and again. The index, built
concurrently. Each step may be run any number of times, by any number of processes. sql/README.md shows the order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from psycopg import Connection, errors
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow, class_row

from airflow_jobmon.core.times import roughly
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.index import build_index
from airflow_jobmon.postgres.migration_script import mapping_json, render_sql
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.schema import check_schema
from airflow_jobmon.settings import Settings

__all__ = ["MigrationReport", "check_schema", "migrate", "render_sql"]

PATIENCE = timedelta(minutes=5)
"""How long to wait for a busy table, in attempts of two seconds."""

Progress = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What changed. applied: names of migrations; actions: other changes, as sentences; notes: what needs attention."""

    jobs_log: str
    applied: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.applied or self.actions)


def migrate(
    conn: Connection[TupleRow],
    settings: Settings,
    *,
    create_jobs_log: bool = False,
    progress: Progress = lambda _: None,
    patience: timedelta = PATIENCE,
) -> MigrationReport:
    """Migrate the database behind `conn` (autocommit), and report each step to `progress`.

    Raises SchemaProblem, one line that says what to do: for settings that do not fit the table (nothing is changed
    then), missing permissions, a database newer than this package, and a table that stayed busy for `patience`.
    """
    busy = _BusyRetry(conn, settings, progress, patience)
    jobs_log, applied, created = busy.retry(lambda: _install(conn, settings, create_jobs_log))
    for name in applied:
        progress(f"applied migration {name}")
    if created:
        progress(f"created table {jobs_log}")
    attached = busy.retry(lambda: _attach_triggers(conn))
    for action in attached:
        progress(action)
    built, notes = build_index(conn, progress)
    conn.execute("SELECT airflow_jobmon.note_jobs()")
    actions = ([f"created table {jobs_log}"] if created else []) + attached + built
    report = MigrationReport(jobs_log, tuple(applied), tuple(actions), tuple(notes))
    for note in notes:
        progress(f"note: {note}")
    progress(f"{jobs_log} is watched" if report.changed else f"{jobs_log} is watched; nothing to change")
    return report


def _install(conn: Connection[TupleRow], settings: Settings, create_jobs_log: bool) -> tuple[str, list[str], bool]:
    """All but the triggers and the index, in one transaction: the table's name as the server writes it, and changes."""
    sql = load_queries("migrate")
    columns, words = mapping_json(settings)
    given = {"table": settings.jobs_log_table, "columns": columns, "words": words}
    applied = []
    created = False
    with conn.transaction():
        conn.execute(sql["brief_locks"])
        conn.execute(sql["one_at_a_time"], {"lock": schema.ADVISORY_LOCK})
        conn.execute(schema.prelude())
        present = _value(conn, sql["version"]) or 0
        schema.refuse_newer(conn, present)
        for migration in schema.migrations()[present:]:
            conn.execute(migration.sql)
            conn.execute(sql["record"], {"version": migration.version, "name": migration.name})
            applied.append(f"{migration.version:04}_{migration.name}")
        conn.execute(schema.before_attach())
        if create_jobs_log:
            created = bool(_value(conn, sql["create_jobs_log"], given))
        jobs_log = str(_value(conn, sql["attach"], given))
        conn.execute(schema.after_attach())
    return jobs_log, applied, created


def _attach_triggers(conn: Connection[TupleRow]) -> list[str]:
    sql = load_queries("migrate")
    with conn.transaction():
        conn.execute(sql["brief_locks"])
        conn.execute(sql["one_at_a_time"], {"lock": schema.ADVISORY_LOCK})
        return [action for (action,) in conn.execute(sql["attach_triggers"])]


def _value(conn: Connection[TupleRow], query: str, parameters: dict[str, str] | None = None) -> Any:
    row = conn.execute(query, parameters).fetchone()
    return row[0] if row else None


class _BusyRetry:
    """Retries a transaction while another session holds a lock it needs."""

    def __init__(self, conn: Connection[TupleRow], settings: Settings, progress: Progress, patience: timedelta) -> None:
        self._conn, self._settings, self._progress = conn, settings, progress
        self._deadline = time.monotonic() + patience.total_seconds()
        self._patience = patience

    def retry(self, step: Callable[[], T]) -> T:
        pause = 0.2
        while True:
            try:
                return step()
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                holders = self._holders()
            except DatabaseError as error:
                raise explain(self._conn, self._settings, error) from None
            if time.monotonic() + pause > self._deadline:
                raise SchemaProblem(
                    f"gave up after {roughly(self._patience)}: {holders}; end that or wait, then run migrate again"
                )
            self._progress(f"waiting: {holders}; trying again in {pause:.1f} s")
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _holders(self) -> str:
        rows = self._conn.execute(
            load_queries("migrate")["holders"],
            {"lock": schema.ADVISORY_LOCK, "table": self._settings.jobs_log_table},
        ).fetchall()
        return "; ".join(str(holder) for (holder,) in rows) or "the table was busy a moment ago"


def explain(conn: Connection[TupleRow], settings: Settings, error: DatabaseError) -> DatabaseError | SchemaProblem:
    """The error as one line that says what to do, if a setting or a role caused it; otherwise the error itself."""
    what = error.diag.message_primary or str(error)
    hint = error.diag.message_hint or ""
    match error.sqlstate:
        case "JM001":
            return SchemaProblem(f"{what}{_nearest_table(conn, error)}; {hint or _NO_TABLE}")
        case "JM002":
            return SchemaProblem(f"{what}{_nearest_column(conn, settings, error)}; {hint}")
        case "JM003":
            return SchemaProblem(f"{what}; {hint}")
        case "42501":
            return SchemaProblem(
                f"role {conn.info.user!r} lacks permission to migrate: {what}; "
                "run it as the owner of the job log, or have that role run the output of `airflow jobmon migrate --sql`"
            )
        case "25006":
            return SchemaProblem(f"{conn.info.host}:{conn.info.port} is read-only ({what}); migrate on the primary")
        case _:
            return error


_NO_TABLE = "set [jobmon] jobs_log_table, or create it with --create-jobs-log"


class _Table(NamedTuple):
    lower_case: str
    quoted: str


def _nearest_table(conn: Connection[TupleRow], error: DatabaseError) -> str:
    if not error.diag.table_name:
        return ""
    wanted = f"{error.diag.schema_name}.{error.diag.table_name}"
    with conn.cursor(row_factory=class_row(_Table)) as cursor:
        rows = cursor.execute(load_queries("migrate")["tables"]).fetchall()
    tables = {table.lower_case: table.quoted for table in rows}
    near = get_close_matches(wanted.lower(), tables, n=1)
    return f"; did you mean {tables[near[0]]}?" if near else ""


def _nearest_column(conn: Connection[TupleRow], settings: Settings, error: DatabaseError) -> str:
    rows = conn.execute(load_queries("migrate")["columns"], {"table": settings.jobs_log_table}).fetchall()
    columns = [str(name) for (name,) in rows]
    near = get_close_matches(error.diag.column_name or "", columns, n=1)
    return f" (it has {', '.join(columns)[:300]}" + (f"; did you mean {near[0]}?)" if near else ")")
