"""`airflow jobmon unsilence`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, requested_by
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.postgres import silences


@command()
def unsilence(args: Namespace) -> CommandResult:
    with database(args) as (conn, _):
        lifted = silences.unsilence(conn, args.name, by=requested_by(args))
        others = silences.list_silences(conn, job=args.name)
    row = {
        "name": args.name,
        "change": "lifted" if lifted.now else "had ended",
        "ended_at": lifted.ended_at,
        "open_incidents": lifted.open_incidents,
    }
    note = (
        "a watcher notifies incidents that are still open, within seconds"
        if lifted.now
        else "the silence had already ended"
    )
    if others:
        note += f"; still silenced by {', '.join(repr(other['name']) for other in others)}"
    return CommandResult([row], note=note)
