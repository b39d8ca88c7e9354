"""`airflow jobmon incidents`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.cli.running import command, database, wanted_limit
from airflow_jobmon.postgres.alert_log import list_incidents


@command()
def incidents(args: Namespace) -> Outcome:
    limit = wanted_limit(args)
    with database(args) as (conn, _):
        rows = list_incidents(conn, job=args.job, resolved=args.all, limit=limit)
    return Outcome(rows, note=None if rows else f"no {'' if args.all else 'open '}incidents")
