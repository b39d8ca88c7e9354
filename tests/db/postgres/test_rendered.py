"""sql/rendered/ shows the code that `migrate` installs on a table with the default names: exactly that code.

After a change of the templates in sql/functions/, write the files again and read the difference:

    JOBMON_WRITE_RENDERED=1 .venv/bin/pytest -n 0 tests/db/postgres/test_rendered.py
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

import airflow_jobmon

FOLDER = Path(airflow_jobmon.__file__).parent / "sql" / "rendered"
WRITE = os.environ.get("JOBMON_WRITE_RENDERED") == "1"

HEAD = """\
-- For reading, not for running: `airflow jobmon migrate` installs this on a table with the default names, made from the
-- templates in sql/functions/. Written by tests/db/postgres/test_rendered.py.

"""

FUNCTIONS = ("mark_archived_days", "mark_days", "note_failed_run")

VIEWS = ("history", "runs")

# Postgres 15 writes the table before each column, later versions do not where there is one table.
_TABLE_BEFORE_COLUMN = re.compile(r'(?<![\w."])(log|"every"|every|jobs_log_archive)\.(?=["\w])')


def render_function(conn: Connection[Any], name: str) -> str:
    row = conn.execute("SELECT pg_get_functiondef(%s::regproc)", [f"airflow_jobmon.{name}"]).fetchone()
    return f"{row[0].strip()};\n"


def render_view(conn: Connection[Any], name: str) -> str:
    row = conn.execute("SELECT pg_get_viewdef(%s::regclass, true)", [f"airflow_jobmon.{name}"]).fetchone()
    query = _TABLE_BEFORE_COLUMN.sub("", row[0].rstrip())
    return f"CREATE VIEW airflow_jobmon.{name} AS\n{query}\n"


def render_triggers(conn: Connection[Any]) -> str:
    rows = conn.execute(
        "SELECT pg_get_triggerdef(oid, true) FROM pg_trigger WHERE NOT tgisinternal"
        ' ORDER BY tgrelid::regclass::text COLLATE "C" DESC, tgname'
    )
    return "\n".join(
        f"{definition};\n".replace(" AFTER ", "\n    AFTER ")
        .replace(" WHEN ", "\n    WHEN ")
        .replace(" EXECUTE FUNCTION ", "\n    EXECUTE FUNCTION ")
        for (definition,) in rows
    )


def render(conn: Connection[Any], file: str) -> str:
    conn.execute("SET search_path = ''")  # so that every name is written with its schema
    name = file.removesuffix(".sql")
    if name in FUNCTIONS:
        return HEAD + render_function(conn, name)
    if name in VIEWS:
        return HEAD + render_view(conn, name)
    return HEAD + render_triggers(conn)


FILES = [f"{name}.sql" for name in sorted((*FUNCTIONS, *VIEWS, "triggers"))]


@pytest.mark.parametrize("file", FILES)
def test_a_rendered_file_shows_what_migrate_installs(conn, file):
    rendered = render(conn, file)
    if WRITE:
        (FOLDER / file).write_text(rendered, encoding="utf-8")
    assert (FOLDER / file).read_text(encoding="utf-8") == rendered


def test_the_folder_holds_nothing_else():
    assert sorted(path.name for path in FOLDER.iterdir()) == FILES
