"""`airflow jobmon incidents`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, read_limit
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.alert_log import list_incidents
from airflow_jobmon.postgres.incident_history import incident_history


@command()
def incidents(args: Namespace) -> CommandResult:
    limit = read_limit(args)
    if args.id is not None:
        return _history(args, limit)
    with database(args) as (conn, _):
        rows = list_incidents(conn, job=args.job, resolved=args.all, limit=limit)
    return CommandResult(rows, note=None if rows else f"no {'' if args.all else 'open '}incidents")


def _history(args: Namespace, limit: int) -> CommandResult:
    if args.job is not None:
        raise ConfigurationError("--id already selects one incident; leave out --job")
    with database(args) as (conn, _):
        incident = incident_history(conn, args.id, failures=limit)
    note = (
        f"incident {incident['id']}: {incident['kind']}, {incident['severity']}, {incident['state']}: "
        f"{incident['job_name']}: {incident['message']}"
    )
    return CommandResult(incident["timeline"], value=incident, note=note)
