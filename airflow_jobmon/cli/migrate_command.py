"""`airflow jobmon migrate`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon import settings as jobmon_settings
from airflow_jobmon.cli.command import command, database, print_to_stderr
from airflow_jobmon.cli.output import CommandResult


@command()
def migrate(args: Namespace) -> CommandResult:
    from airflow_jobmon.postgres import migrate as migrations  # noqa: PLC0415 - psycopg, only when the command runs

    if args.sql:
        sql = migrations.render_sql(jobmon_settings.load(), create_jobs_log=args.create_jobs_log)
        return CommandResult(text=sql)
    with database(args, migrated=False) as (conn, settings):
        migrations.migrate(conn, settings, create_jobs_log=args.create_jobs_log, progress=print_to_stderr)
    return CommandResult()
