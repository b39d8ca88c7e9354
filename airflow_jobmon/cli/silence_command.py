"""`airflow jobmon silence`, `unsilence` and `ack`."""

from __future__ import annotations

import getpass
import os
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from airflow_jobmon.cli.command import command, database
from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.core.times import format_duration, iso, parse_duration, parse_moment, roughly
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.acknowledgements import Acknowledged, Meant, acknowledge, withdraw
from airflow_jobmon.postgres.silences import list_silences, unsilence
from airflow_jobmon.postgres.silences import silence as make_silence

_LONGEST = timedelta(days=366)


@command()
def silence(args: Namespace) -> Outcome:
    if args.list or args.all:
        return _listed(args)
    name, until, reason = _wanted(args)
    with database(args) as (conn, _):
        made = make_silence(conn, name, until, reason=reason, by=_who(args))
    row = {
        "name": name,
        "change": "added" if made.ended_at is None else "changed",
        "until": made.ends_at,
        "reason": reason,
        "by": _who(args),
        "jobs": made.jobs,
        "open_incidents": made.open_incidents,
    }
    note = f"silenced for {roughly(made.ends_at - datetime.now(UTC))}"
    if made.ended_at is not None:
        note += f"; it was silenced until {iso(made.ended_at.replace(microsecond=0))} before"
    if made.jobs == 0:
        note += f"; no job is called like {name!r} now, one that appears will be silenced"
    return Outcome([row], note=note)


@command()
def lift(args: Namespace) -> Outcome:
    with database(args) as (conn, _):
        lifted = unsilence(conn, args.name, by=_who(args))
        others = list_silences(conn, job=args.name)
    row = {
        "name": args.name,
        "change": "lifted" if lifted.now else "had ended",
        "ended_at": lifted.ended_at,
        "open_incidents": lifted.open_incidents,
    }
    note = "it had ended already" if not lifted.now else "what is still open is told by the next sweep of a watcher"
    if others:
        note += f"; still silenced by {', '.join(repr(other['name']) for other in others)}"
    return Outcome([row], note=note)


@command()
def ack(args: Namespace) -> Outcome:
    if (args.name is None) == (args.id is None):
        raise ConfigurationError("say what is acknowledged: a job's name or glob, or --id N (not both)")
    if args.undo and args.note:
        raise ConfigurationError("--undo takes an acknowledgement back, so it cannot go with --note; leave one out")
    if args.id is not None and args.kind is not None:
        raise ConfigurationError("--id means one incident already; leave out --kind")
    meant = Meant(args.id, args.name, args.kind)
    with database(args) as (conn, _):
        if args.undo:
            return _acknowledged(withdraw(conn, meant), "withdrawn", "not acknowledged")
        return _acknowledged(acknowledge(conn, meant, by=_who(args), note=args.note), "acknowledged", "already")


def _acknowledged(incidents: Sequence[Acknowledged], changed: str, unchanged: str) -> Outcome:
    return Outcome(
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


def _listed(args: Namespace) -> Outcome:
    with database(args) as (conn, _):
        rows = list_silences(conn, job=args.name, ended=args.all)
    about = f" of {args.name!r}" if args.name else ""
    return Outcome(rows, note=None if rows else f"no silences{about}{'' if args.all else ' in force'}")


def _wanted(args: Namespace) -> tuple[str, datetime | timedelta, str]:
    if not args.name:
        raise ConfigurationError("name the job (or a glob like 'billing-*'), or give --list to see what is silenced")
    if (args.lasting is None) == (args.until is None):
        raise ConfigurationError(f"say until when {args.name[:100]!r} is silent: --for 2h, or --until TIME (not both)")
    if not (args.reason or "").strip():
        raise ConfigurationError(
            f"say why {args.name[:100]!r} is silenced, for those who wonder: --reason 'database upgrade'"
        )
    return args.name, _end(args), args.reason.strip()


def _end(args: Namespace) -> datetime | timedelta:
    if args.lasting is not None:
        lasting = parse_duration(args.lasting)
        until: datetime | timedelta = lasting
    else:
        until = parse_moment(args.until)
        lasting = until - datetime.now(UTC)
    if lasting <= timedelta(0):
        if args.lasting is not None:
            raise ConfigurationError(f"--for {args.lasting} is no time at all; write it like 30m, 2h or 1d")
        raise ConfigurationError(f"--until {args.until} is past; give a time that is still to come")
    if lasting > _LONGEST:
        raise ConfigurationError(
            f"that is {format_duration(timedelta(days=lasting.days))} of silence, and a year is the most; "
            "a job that is not to be watched is registered with enabled: false"
        )
    return until


def _who(args: Namespace) -> str:
    """--by, else the login that runs this; in a container that has none, its number."""
    if args.by and args.by.strip():
        return str(args.by).strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
