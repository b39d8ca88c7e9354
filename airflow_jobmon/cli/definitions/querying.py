"""`query`: the monitoring queries."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID, ONLY_JOB

QUERY = ActionCommand(
    name="query",
    help="Run one of the monitoring queries, or list them",
    func=lazy_load_command("airflow_jobmon.cli.query_command.query"),
    description=(
        "Runs one of the monitoring queries, for one job or for all: recent executions, success rate, failed jobs,\n"
        "durations, records, open incidents and more. Without a name it lists them."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon query\n"
        "  airflow jobmon query success_rate --job nightly-invoices\n"
        "  airflow jobmon query failed_jobs -o csv > failures.csv\n"
        "  airflow jobmon query weekly_review --sql      to paste into Metabase or Supabase\n"
        "  airflow jobmon query --sql > queries.sql      all of them, for psql\n\n"
        "Exit codes: 0 answered (also with no rows), 1 could not, or nobody knows the job."
    ),
    args=(
        Arg(("name",), metavar="NAME", nargs="?", help="Name of a query (default: list them)"),
        ONLY_JOB,
        Arg(
            ("-o", "--output"),
            metavar="FORMAT",
            choices=("table", "plain", "json", "yaml", "csv"),
            default="table",
            help="table (default), plain, json, yaml or csv",
        ),
        Arg(("--sql",), action="store_true", help="Print the query as plain SQL (or all, for psql) instead"),
        CONN_ID,
    ),
)
