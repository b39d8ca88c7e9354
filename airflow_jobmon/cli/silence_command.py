"""`airflow jobmon silence`."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

from airflow_jobmon.cli.command import command, database, requested_by
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.times import format_duration, iso, parse_duration, parse_moment, roughly
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres import silences

_LONGEST = timedelta(days=366)


@command()
def silence(args: Namespace) -> CommandResult:
    if args.list or args.all:
        return _list(args)
    name, until, reason = _read_silence(args)
    with database(args) as (conn, _):
        made = silences.silence(conn, name, until, reason=reason, by=requested_by(args))
    row = {
        "name": name,
        "change": "added" if made.ended_at is None else "changed",
        "until": made.ends_at,
        "reason": reason,
        "by": requested_by(args),
        "jobs": made.jobs,
        "open_incidents": made.open_incidents,
    }
    note = f"silenced for {roughly(made.ends_at - datetime.now(UTC))}"
    if made.ended_at is not None:
        note += f"; before, it was silenced until {iso(made.ended_at.replace(microsecond=0))}"
    if made.jobs == 0:
        note += f"; no job matches {name!r} yet, jobs that appear later will be silenced"
    return CommandResult([row], note=note)


def _list(args: Namespace) -> CommandResult:
    with database(args) as (conn, _):
        rows = silences.list_silences(conn, job=args.name, ended=args.all)
    about = f" of {args.name!r}" if args.name else ""
    return CommandResult(rows, note=None if rows else f"no silences{about}{'' if args.all else ' in force'}")


def _read_silence(args: Namespace) -> tuple[str, datetime | timedelta, str]:
    """The name, the end and the reason."""
    if not args.name:
        raise ConfigurationError("name the job (or a glob such as 'billing-*'), or give --list to see the silences")
    if (args.lasting is None) == (args.until is None):
        raise ConfigurationError(f"say how long to silence {args.name[:100]!r}: --for 2h, or --until TIME (not both)")
    if not (args.reason or "").strip():
        raise ConfigurationError(f"give a reason for silencing {args.name[:100]!r}: --reason 'database upgrade'")
    return args.name, _read_end(args), args.reason.strip()


def _read_end(args: Namespace) -> datetime | timedelta:
    if args.lasting is not None:
        lasting = parse_duration(args.lasting)
        until: datetime | timedelta = lasting
    else:
        until = parse_moment(args.until)
        lasting = until - datetime.now(UTC)
    if lasting <= timedelta(0):
        if args.lasting is not None:
            raise ConfigurationError(f"--for {args.lasting} is not a positive duration; write it like 30m, 2h or 1d")
        raise ConfigurationError(f"--until {args.until} is in the past; give a time in the future")
    if lasting > _LONGEST:
        raise ConfigurationError(
            f"a silence of {format_duration(timedelta(days=lasting.days))} is too long, a year is the maximum; "
            "to stop watching a job, register it with enabled: false"
        )
    return until
