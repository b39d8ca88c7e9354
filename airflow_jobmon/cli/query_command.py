"""`airflow jobmon query`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_jobmon.cli.command import command, database
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.rendering.csv_export import csv_text
from airflow_jobmon.errors import ConfigurationError, UnknownJob
from airflow_jobmon.postgres.facts import known_names
from airflow_jobmon.postgres.monitoring_queries import (
    QueryResult,
    find_query,
    list_queries,
    plain_sql,
    queries_file,
    run_query,
)
from airflow_jobmon.postgres.registry import is_registered


@command()
def query(args: Namespace) -> CommandResult:
    if args.job == "":
        raise ConfigurationError("--job '' is not a job name; leave it out for all jobs")
    if args.name is None:
        return CommandResult(text=queries_file()) if args.sql else _result(_query_list(), args.output)
    asked = find_query(args.name)
    if args.sql:
        return CommandResult(text=f"{plain_sql(asked, args.job)};\n")
    with database(args) as (conn, settings):
        answer = run_query(conn, asked.name, args.job)
        if not answer.rows and args.job is not None and not _is_known(conn, args.job):
            raise UnknownJob(
                f"job {args.job[:100]!r} is neither registered nor in {settings.jobs_log_table}; "
                "list the job names with: airflow jobmon query health_check"
            )
    return _result(answer, args.output)


def _query_list() -> QueryResult:
    return QueryResult(("query", "meaning"), [(query.name, query.meaning) for query in list_queries()])


def _result(answer: QueryResult, form: str) -> CommandResult:
    if form == "csv":
        return CommandResult(text=csv_text(*answer))
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return CommandResult(rows, note=None if rows else "no rows")


def _is_known(conn: Any, name: str) -> bool:
    return is_registered(conn, name) or name in known_names(conn, [name])
