"""`airflow jobmon alerts`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, print_to_stderr, read_limit
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.postgres.alert_log import list_alerts, retry_dead


@command()
def alerts(args: Namespace) -> CommandResult:
    limit = read_limit(args)
    with database(args) as (conn, _):
        if args.retry:
            count = retry_dead(conn, job=args.job)
            print_to_stderr(f"{count} dead {'delivery' if count == 1 else 'deliveries'} set back to pending")
        rows = list_alerts(conn, job=args.job, state=args.state, limit=limit)
    return CommandResult(rows, note=None if rows else "no alerts")
