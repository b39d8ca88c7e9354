"""`airflow jobmon ack`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from airflow_jobmon.cli.command import command, database, requested_by
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.acknowledgements import Acknowledgement, IncidentSelector, acknowledge, withdraw


@command()
def ack(args: Namespace) -> CommandResult:
    if (args.name is None) == (args.id is None):
        raise ConfigurationError("give what to acknowledge: a job name, a glob, or --id N (only one of them)")
    if args.undo and args.note:
        raise ConfigurationError("--undo withdraws an acknowledgement, so it cannot take --note; leave one out")
    if args.id is not None and args.kind is not None:
        raise ConfigurationError("--id already selects one incident; leave out --kind")
    selector = IncidentSelector(args.id, args.name, args.kind)
    with database(args) as (conn, _):
        if args.undo:
            return _result(withdraw(conn, selector), "withdrawn", "not acknowledged")
        return _result(acknowledge(conn, selector, by=requested_by(args), note=args.note), "acknowledged", "already")


def _result(incidents: Sequence[Acknowledgement], changed: str, unchanged: str) -> CommandResult:
    return CommandResult(
        [
            {
                "id": incident.incident_id,
                "job_name": incident.job_name,
                "kind": incident.kind,
                "change": changed if incident.changed else unchanged,
                "at": incident.at,
                "by": incident.by,
                "note": incident.note,
            }
            for incident in incidents
        ]
    )
