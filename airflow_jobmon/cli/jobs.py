"""`airflow jobmon jobs list` and `apply`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.cli.registry_file import read_registry_file
from airflow_jobmon.cli.running import command, database
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.postgres.registry import RegisteredJob, apply_jobs, list_jobs


@command()
def list_registered(args: Namespace) -> Outcome:
    with database(args) as (conn, _):
        registered = list_jobs(conn)
    return Outcome(
        [_row(entry) for entry in registered],
        value=[_whole(entry) for entry in registered],
        note=None if registered else "no jobs are registered; see `airflow jobmon jobs apply --help`",
    )


@command()
def apply(args: Namespace) -> Outcome:
    path = Path(args.file)
    jobs = read_registry_file(path, may_be_empty=args.prune)
    with database(args) as (conn, _):
        applied = apply_jobs(conn, jobs, source=f"file:{path.name}", prune=args.prune)
    rows = [
        {"job_name": name, "change": change}
        for change in ("added", "changed", "unchanged", "removed")
        for name in getattr(applied, change)
    ]
    return Outcome(rows)


def _row(entry: RegisteredJob) -> dict[str, Any]:
    job = entry.job
    return {
        "job_name": job.name,
        "expected": _expected(job),
        "grace": format_duration(job.grace),
        "enabled": job.enabled,
        "source": entry.source,
        "registered_at": entry.registered_at,
    }


def _expected(job: MonitoredJob) -> str:
    if job.schedule is None:
        return f"every {format_duration(job.every)}"
    return f"{job.schedule} ({job.timezone})"


def _whole(entry: RegisteredJob) -> dict[str, Any]:
    """Every field, defaults included, so that nobody needs to know them to read it."""
    fields = entry.job.model_dump(mode="json")
    if entry.job.schedule is not None:
        del fields["every"]
    return {**fields, "source": entry.source, "registered_at": entry.registered_at}
