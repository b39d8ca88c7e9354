"""`migrate --sql`: the same migration as a script for `psql -v ON_ERROR_STOP=1 -f`."""

from __future__ import annotations

import json

from psycopg import sql

from airflow_jobmon.postgres import schema
from airflow_jobmon.settings import Settings

_HEAD = """\
-- airflow_jobmon, migrations up to {newest}. Safe to run twice. Run it with
--     psql -v ON_ERROR_STOP=1 -f THIS_FILE "postgresql://..."
-- as the owner of {table}. If that table is busy it gives up after two seconds: run it again.
\\set ON_ERROR_STOP on
\\set QUIET on
SET client_min_messages = warning;
SET lock_timeout = '2s';
BEGIN;
SELECT pg_catalog.pg_advisory_xact_lock({lock}) \\g /dev/null
"""

_REFUSE_NEWER = """
DO $$ BEGIN
    IF (SELECT max(version) FROM airflow_jobmon.migrations) > {newest} THEN
        RAISE EXCEPTION 'this database is at migration %, this file ends at {newest}',
            (SELECT max(version) FROM airflow_jobmon.migrations)
            USING HINT = 'print it again with the version of airflow-provider-jobmon that migrated the database';
    END IF;
END $$;
"""

_MIGRATION = """
SELECT NOT EXISTS (SELECT FROM airflow_jobmon.migrations WHERE version = {version}) AS pending \\gset
\\if :pending
{sql}
INSERT INTO airflow_jobmon.migrations (version, name) VALUES ({version}, '{name}');
\\endif
"""

_TAIL = """
COMMIT;

BEGIN;
SELECT pg_catalog.pg_advisory_xact_lock({lock}) \\g /dev/null
SELECT * FROM airflow_jobmon.attach_triggers() \\g /dev/null
COMMIT;

-- Building an index waits for transactions that are open now, and blocks no writer.
SET lock_timeout = 0;
SET statement_timeout = 0;
SELECT statement FROM airflow_jobmon.index_statements() AS needed (statement) \\gexec
SELECT airflow_jobmon.note_jobs() \\g /dev/null
"""


def render_sql(settings: Settings, create_jobs_log: bool = False) -> str:
    """The whole migration for these settings as a psql script; needs no connection."""
    newest, lock = schema.newest_version(), schema.ADVISORY_LOCK
    table = settings.jobs_log_table.replace("\n", " ")
    columns, words = mapping_json(settings)
    literals = {
        "table": _literal(settings.jobs_log_table),
        "columns": _literal(columns),
        "words": _literal(words),
    }
    parts = [
        _HEAD.format(newest=newest, table=table, lock=lock),
        schema.prelude(),
        _REFUSE_NEWER.format(newest=newest),
        *(_MIGRATION.format(version=m.version, name=m.name, sql=m.sql) for m in schema.migrations()),
        schema.before_attach(),
    ]
    if create_jobs_log:
        parts.append(
            "SELECT airflow_jobmon.create_jobs_log({table}, {columns}::jsonb) \\g /dev/null\n".format(**literals)
        )
    parts += [
        "SELECT airflow_jobmon.attach({table}, {columns}::jsonb, {words}::jsonb) \\g /dev/null\n".format(**literals),
        schema.after_attach(),
        _TAIL.format(lock=lock),
    ]
    return "\n".join(parts)


def mapping_json(settings: Settings) -> tuple[str, str]:
    """jobs_log_columns and status_words as the database's functions take them."""
    words = {ours: list(theirs) for ours, theirs in settings.status_words.items()}
    return json.dumps(dict(settings.jobs_log_columns)), json.dumps(words)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)
