"""The SQL that `migrate` installs: numbered migrations, then functions and views, which it creates again each time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from psycopg import Connection, errors
from psycopg.rows import TupleRow, class_row

from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.queries import sql_directory

ADVISORY_LOCK = int.from_bytes(b"jobmon", "big")
"""Held while the schema is changed, so that two migrations never run at once."""

_MIGRATION_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file; numbers start at 1 and leave no gap."""

    version: int
    name: str
    sql: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration of this package, in order."""
    files = ((_MIGRATION_FILE.fullmatch(path.name), path) for path in (sql_directory() / "migrations").iterdir())
    found = sorted(
        (Migration(int(name[1]), name[2], path.read_text(encoding="utf-8")) for name, path in files if name),
        key=lambda migration: migration.version,
    )
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are numbered {[m.version for m in found]}; they must count up from 1")
    return tuple(found)


def newest_version() -> int:
    return len(migrations())


def prelude() -> str:
    """What runs before the first migration."""
    return (sql_directory() / "migrations" / "prelude.sql").read_text(encoding="utf-8")


def grants() -> str:
    """The script that makes the optional roles with least privileges, for a DBA to run with psql."""
    return (sql_directory() / "psql" / "grants.sql").read_text(encoding="utf-8")


def before_attach() -> str:
    """What `attach` needs: the numbered functions up to the first view, which read no view of ours."""
    return "\n".join(file.sql for file in _numbered_files() if file.number < _first_view())


def after_attach() -> str:
    """What needs the view of the job log that `attach` makes: our other views, and the functions that read them."""
    return "\n".join(file.sql for file in _numbered_files() if file.number >= _first_view())


@dataclass(frozen=True, slots=True)
class _NumberedFile:
    """A file of functions or of views; the numbers run on through both folders."""

    number: int
    folder: str
    sql: str


@cache
def _numbered_files() -> tuple[_NumberedFile, ...]:
    """What every migrate installs again, in order."""
    found = [
        _NumberedFile(int(path.name.split("_")[0]), folder, path.read_text(encoding="utf-8"))
        for folder in ("functions", "views")
        for path in (sql_directory() / folder).iterdir()
        if path.name.endswith(".sql")
    ]
    return tuple(sorted(found, key=lambda file: file.number))


def _first_view() -> int:
    return next(file.number for file in _numbered_files() if file.folder == "views")


def check_schema(conn: Connection[TupleRow], *, migrate_by: str = "airflow jobmon migrate") -> None:
    """Return if this package can work with the database as it is; one short query.

    migrate_by: the command that migrates this database.

    Raises SchemaProblem if it was never migrated, is older or newer than this package, or may not be read.
    """
    try:
        installed = _installed(conn)
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        installed = None
    except errors.InsufficientPrivilege:
        raise SchemaProblem(
            f"role {conn.info.user!r} may not read the schema airflow_jobmon in {conn.info.dbname!r}; "
            "grant it jobmon_operator or jobmon_reader (sql/psql/grants.sql), or connect as another role"
        ) from None
    if installed is None or installed.version is None or installed.jobs_log_table is None:
        raise SchemaProblem(f"database {conn.info.dbname!r} is not migrated; run `{migrate_by}`")
    refuse_newer(conn, installed.version)
    if installed.version < newest_version():
        raise SchemaProblem(
            f"database {conn.info.dbname!r} is at migration {installed.version}, this package needs "
            f"{newest_version()}; run `{migrate_by}`"
        )


class _Installed(NamedTuple):
    """Null before the first migration, and before the first `attach`."""

    version: int | None
    jobs_log_table: str | None


def _installed(conn: Connection[TupleRow]) -> _Installed | None:
    with conn.cursor(row_factory=class_row(_Installed)) as cursor:
        return cursor.execute(
            "SELECT (SELECT max(version) FROM airflow_jobmon.migrations) AS version,"
            " (SELECT jobs_log_table FROM airflow_jobmon.installation) AS jobs_log_table"
        ).fetchone()


def refuse_newer(conn: Connection[TupleRow], version: int) -> None:
    """Raise SchemaProblem if a newer package has migrated the database."""
    if version > newest_version():
        raise SchemaProblem(
            f"database {conn.info.dbname!r} is at migration {version}, this package knows {newest_version()}; "
            "upgrade airflow-provider-jobmon here to the version that migrated it"
        )
