"""`airflow jobmon jobs`: list, apply, export, remove and schema."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_jobmon.cli.command import command, database
from airflow_jobmon.cli.jobs_file_reader import file_source, read_jobs_file
from airflow_jobmon.cli.jobs_file_writer import jobs_as_json, jobs_as_yaml
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.jobs.diff import JobChange
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.registry import (
    AppliedJobs,
    RegisteredJob,
    apply_jobs,
    known_channels,
    list_jobs,
    remove_jobs,
)

if TYPE_CHECKING:
    from psycopg import Connection

    from airflow_jobmon.settings import Settings


@command()
def list_registered(args: Namespace) -> CommandResult:
    with database(args) as (conn, _):
        registered = list_jobs(conn, source=_source_given(args))
    return CommandResult(
        [_row(entry) for entry in registered],
        value=[_all_fields(entry) for entry in registered],
        note=None if registered else "no jobs are registered; see `airflow jobmon jobs apply --help`",
    )


@command()
def apply(args: Namespace) -> CommandResult:
    file = read_jobs_file(args.file, may_be_empty=args.prune)
    source = file_source(args.source, given_by="--source") if args.source is not None else file.source
    if source is None:
        raise ConfigurationError("standard input has no file name to serve as the source; give --source NAME")
    with database(args) as (conn, settings):
        if not args.allow_unknown_channels:
            _refuse_unknown_channels(conn, settings, file.jobs)
        applied = apply_jobs(
            conn,
            file.jobs,
            source=source,
            prune=args.prune,
            may_take_from=lambda _: bool(args.take_over),
            dry_run=args.dry_run,
        )
    return CommandResult(
        [row for job in applied.jobs if job.change != "unchanged" for row in _change_rows(job)],
        value=[job.as_json() for job in applied.jobs],
        note=_summary(applied, source, dry_run=args.dry_run),
    )


@command()
def export(args: Namespace) -> CommandResult:
    source = _source_given(args)
    with database(args) as (conn, _):
        entries = list_jobs(conn, source=source)
    if source is not None and not entries:
        raise ConfigurationError(
            f"no job is registered by {source[:200]!r}; list the sources with: airflow jobmon jobs list"
        )
    file_source_name = source if source is not None and source.startswith("file:") else None
    if args.output == "json":
        return CommandResult(value=jobs_as_json(entries, file_source_name))
    return CommandResult(text=jobs_as_yaml(entries, file_source_name))


@command()
def remove(args: Namespace) -> CommandResult:
    source = _source_given(args)
    if bool(args.jobs) == (source is not None):
        raise ConfigurationError("name the jobs to remove, or give --source to remove all jobs of a source (not both)")
    with database(args) as (conn, _):
        removed = remove_jobs(conn, args.jobs, source=source)
    return CommandResult(
        [{"job_name": entry.job.name, "change": "removed", "source": entry.source} for entry in removed],
        note=None if removed else f"no job is registered by {source}",
    )


@command()
def schema(args: Namespace) -> CommandResult:  # noqa: ARG001 - every command takes it
    from airflow_jobmon.core.jobs.json_schema import jobs_schema  # noqa: PLC0415 - only this command needs it

    return CommandResult(text=json.dumps(jobs_schema(), indent=2) + "\n")


def _source_given(args: Namespace) -> str | None:
    """--source as `jobs list` shows it; a bare name means a file."""
    source: str | None = args.source
    return source if source is None or source.startswith(("dag:", "file:")) else f"file:{source}"


def _refuse_unknown_channels(conn: Connection[Any], settings: Settings, jobs: Iterable[MonitoredJob]) -> None:
    """Raise ConfigurationError for a channel that is neither a connection that opens nor a notifier of a DAG."""
    from airflow_jobmon.runtime.connections import open_channels  # noqa: PLC0415 - only if a job names channels

    named = {channel: job.name for job in jobs for channel in job.channels or ()}
    if not named:
        return
    known, notifiers = known_channels(conn)
    _, problems = open_channels(channel for channel in named if channel not in notifiers)
    if problems:
        candidates = (known | set(settings.channels)) - problems.keys()
        messages = [
            f"job {named[channel][:100]!r}: channels: {problem}{_did_you_mean(channel, candidates)}"
            for channel, problem in list(problems.items())[:5]
        ]
        raise ConfigurationError(
            f"{'; '.join(messages)}; if it exists only on other machines, give --allow-unknown-channels"
        )


def _did_you_mean(channel: str, candidates: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error message

    near = get_close_matches(channel, sorted(candidates), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _change_rows(job: JobChange) -> list[dict[str, str]]:
    """One row per changed field, so that a change reads from left to right."""
    if not job.fields:
        return [{"job_name": job.job_name, "change": job.change, "field": "", "old": "", "new": ""}]
    rows = []
    for field in job.fields:
        old, new = field.shown()
        shown_old = "" if job.change == "added" else old
        rows.append(
            {"job_name": job.job_name, "change": job.change, "field": field.field, "old": shown_old, "new": new}
        )
    return rows


def _summary(applied: AppliedJobs, source: str, *, dry_run: bool) -> str:
    counts = [
        f"{len(names)} {change}"
        for change in ("added", "changed", "removed", "unchanged")
        if (names := getattr(applied, change))
    ]
    summary = f"{source}: {', '.join(counts) or 'no jobs'}"
    return f"{summary}; dry run, nothing was written" if dry_run else summary


def _row(entry: RegisteredJob) -> dict[str, Any]:
    job = entry.job
    return {
        "job_name": job.name,
        "health": entry.health if job.enabled else "off",
        "expected": entry.problem or _expected(job),
        "grace": format_duration(job.grace),
        "next_due_at": entry.next_due_at,
        "source": entry.source,
    }


def _expected(job: MonitoredJob) -> str:
    if job.schedule is None:
        return f"every {format_duration(job.every)}"
    return f"{job.schedule} ({job.timezone})"


def _all_fields(entry: RegisteredJob) -> dict[str, Any]:
    """Every field, defaults included, so that a reader need not know them."""
    fields = entry.job.model_dump(mode="json")
    if entry.job.schedule is not None:
        del fields["every"]
    return {
        **fields,
        "source": entry.source,
        "registered_at": entry.registered_at,
        "health": entry.health,
        "next_due_at": entry.next_due_at,
        "problem": entry.problem,
    }
