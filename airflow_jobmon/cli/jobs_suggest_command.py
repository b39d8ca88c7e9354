"""`airflow jobmon jobs suggest`: a registry learned from the history."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_jobmon.cli.command import command, database, print_to_stderr
from airflow_jobmon.cli.jobs_file_writer import HEAD, as_yaml
from airflow_jobmon.cli.output import CommandResult, printable
from airflow_jobmon.core.schedule.zones import check_zone
from airflow_jobmon.core.suggest.suggest import Suggestion, suggest
from airflow_jobmon.core.suggest.zone_fit import USUAL_ZONES
from airflow_jobmon.errors import ConfigurationError, UnknownJob
from airflow_jobmon.postgres.facts import job_names, known_names
from airflow_jobmon.postgres.registry import list_jobs
from airflow_jobmon.postgres.run_history import histories, zones_of_database

if TYPE_CHECKING:
    from psycopg import Connection

_PROGRESS_EVERY = 500
"""Jobs between two lines of progress."""

_MAX_DAYS = 36_500


@command()
def suggest_jobs(args: Namespace) -> CommandResult:
    if args.days < 1:
        raise ConfigurationError(f"--days {args.days} covers no run; give 1 or more")
    if args.days > _MAX_DAYS:
        raise ConfigurationError(f"--days {args.days} is too high; give {_MAX_DAYS} or less")
    for zone in args.timezone:
        try:
            check_zone(zone)
        except ValueError as error:
            raise ConfigurationError(f"--timezone: {error}") from None
    with database(args) as (conn, settings):
        registered = {entry.job.name: entry.source for entry in list_jobs(conn)}
        names = _names(conn, args.job)
        zones = [*args.timezone, *zones_of_database(conn), "UTC", *USUAL_ZONES]
        wanted = [name for name in names if args.job is not None or name not in registered]
        suggestions = []
        for history in histories(conn, wanted, args.days):
            suggestions.append(suggest(history, zones, now=datetime.now(UTC)))
            if len(suggestions) % _PROGRESS_EVERY == 0:
                print_to_stderr(f"analyzed {len(suggestions)} of {len(wanted)} jobs")
    left_out = [(found.job_name, found.evidence[0]) for found in suggestions if found.job is None]
    if args.job is None:
        left_out += [(name, f"is already registered by {registered[name]}") for name in names if name in registered]
    found = [found for found in suggestions if found.job is not None]
    note = f"{len(found)} of {len(names)} jobs suggested" + (f", {len(left_out)} left out" if left_out else "")
    if args.output == "json":
        return CommandResult(value={"jobs": [_fields(suggestion) for suggestion in found]}, note=note)
    origin = f"Learned from the last {args.days} days of {settings.jobs_log_table}, on {datetime.now(UTC):%Y-%m-%d}."
    return CommandResult(text=_as_file(origin, found, left_out), note=note)


def _names(conn: Connection[Any], job: str | None) -> list[str]:
    if job is None:
        return job_names(conn)
    if not known_names(conn, [job]):
        raise UnknownJob(f"job {job[:100]!r} has no run in the log; list the job names with: airflow jobmon check")
    return [job]


def _as_file(origin: str, found: Sequence[Suggestion], left_out: Sequence[tuple[str, str]]) -> str:
    """A file for `jobs apply`; every comment is one line, whatever a job name contains."""
    lines = [HEAD, _comment(origin), _comment("Review it, correct it where you know better, and apply it:")]
    lines += [_comment("  airflow jobmon jobs apply FILE.yaml"), "jobs:" if found else "jobs: []"]
    for suggestion in found:
        lines += ["", *(f"  {_comment(line)}" for line in suggestion.evidence)]
        lines += [f"  {line}" for line in as_yaml([_fields(suggestion)]).splitlines()]
    if left_out:
        lines += ["", _comment("Left out:"), *(_comment(f"  {name[:200]}: {why}") for name, why in left_out)]
    return "\n".join([*lines, ""])


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _fields(suggestion: Suggestion) -> dict[str, Any]:
    assert suggestion.job is not None  # noqa: S101 - the caller passes only suggestions with a job
    return suggestion.job.model_dump(mode="json", exclude_unset=True)
