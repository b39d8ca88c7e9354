"""`airflow jobmon alerts`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, say, wanted_limit
from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.postgres.alert_log import list_alerts, retry_dead


@command()
def alerts(args: Namespace) -> Outcome:
    limit = wanted_limit(args)
    with database(args) as (conn, _):
        if args.retry:
            count = retry_dead(conn, job=args.job)
            say(f"{count} dead {'delivery is' if count == 1 else 'deliveries are'} pending again")
        rows = list_alerts(conn, job=args.job, state=args.state, limit=limit)
    return Outcome(rows, note=None if rows else "no alerts")
