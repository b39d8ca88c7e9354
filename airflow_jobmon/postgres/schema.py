"""What the package brings for the database: numbered migrations, and what every migrate creates again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from psycopg import Connection, errors
from psycopg.rows import TupleRow

from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.queries import sql_directory

ADVISORY_LOCK = int.from_bytes(b"jobmon", "big")
"""Whoever changes the schema holds this, so that two migrations never run at once."""

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
    """What comes before the first migration."""
    return (sql_directory() / "migrations" / "prelude.sql").read_text(encoding="utf-8")


def grants() -> str:
    """The optional roles with least rights, which a DBA runs by psql."""
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

    migrate_by: the command that would migrate this very database.

    Raises SchemaProblem where it was never migrated, is older or newer than this package, or may not be read.
    """
    try:
        row = conn.execute(
            "SELECT (SELECT max(version) FROM airflow_jobmon.migrations),"
            " (SELECT jobs_log_table FROM airflow_jobmon.installation)"
        ).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        row = None
    except errors.InsufficientPrivilege:
        raise SchemaProblem(
            f"role {conn.info.user!r} may not read the schema airflow_jobmon in {conn.info.dbname!r}; "
            "grant it jobmon_operator or jobmon_reader (sql/psql/grants.sql), or connect as another"
        ) from None
    version, table = row or (None, None)
    if version is None or table is None:
        raise SchemaProblem(f"database {conn.info.dbname!r} is not migrated; run `{migrate_by}`")
    refuse_newer(conn, version)
    if version < newest_version():
        raise SchemaProblem(
            f"database {conn.info.dbname!r} is at migration {version}, this package needs {newest_version()}; "
            f"run `{migrate_by}`"
        )


def refuse_newer(conn: Connection[TupleRow], version: int) -> None:
    """Raise SchemaProblem if a newer package has been at work."""
    if version > newest_version():
        raise SchemaProblem(
            f"database {conn.info.dbname!r} is at migration {version}, this package knows {newest_version()}; "
            "upgrade airflow-provider-jobmon here to the version that migrated it"
        )
