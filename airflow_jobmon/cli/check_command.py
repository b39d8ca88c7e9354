"""`airflow jobmon check`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_jobmon.cli.command import command, database
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.model.health import Health, JobHealth, health_report, worst
from airflow_jobmon.core.times import parse_moment
from airflow_jobmon.errors import ConfigurationError

EXIT_CODES = {Health.OK: 0, Health.WARNING: 1, Health.CRITICAL: 2, Health.UNKNOWN: 3}
"""Those of monitoring plugins, such as Nagios's."""


@command(failure=EXIT_CODES[Health.UNKNOWN])
def check(args: Namespace) -> CommandResult:
    from airflow_jobmon.monitoring.checks import assess_jobs, check_and_record  # noqa: PLC0415 - psycopg, only when the command runs

    if args.record and args.at is not None:
        raise ConfigurationError(
            "--record records the current health, so it cannot be combined with --at; leave one of them out"
        )
    at = _moment(args.at) if args.at is not None else None
    names = args.jobs or None
    with database(args) as (conn, settings):
        if args.record:
            jobs = check_and_record(conn, settings, names)
        else:
            jobs = assess_jobs(conn, settings, names, at=at)
    return CommandResult(
        rows=_rows(jobs),
        value=health_report(jobs, at or datetime.now(UTC)),
        note=_note(jobs, args.jobs),
        exit_code=EXIT_CODES[worst([job.status for job in jobs])],
    )


def _moment(text: str) -> datetime:
    """A time far enough from the ends of the calendar that a window or a zone's offset does not overflow it."""
    at = parse_moment(text)
    if not 1900 <= at.year < 9000:
        raise ConfigurationError(f"--at {text[:60]} is out of range; give a time between the years 1900 and 9000")
    return at


def _note(jobs: Sequence[JobHealth], asked_for: Sequence[str]) -> str | None:
    if disabled := sorted(set(asked_for) - {job.job_name for job in jobs}):
        return f"not evaluated, because registered with enabled: false: {', '.join(disabled)}"
    return None if jobs else "unknown: there are no jobs to evaluate, neither registered and enabled nor in the job log"


def _rows(jobs: Sequence[JobHealth]) -> list[dict[str, Any]]:
    """Worst first, as in the health report."""
    return [
        {
            "status": job.status.value,
            "job_name": job.job_name,
            "last_run": job.last_run.started_at if job.last_run else None,
            "last_status": job.last_run.status if job.last_run else None,
            "next_due_at": job.next_due_at,
            "success_rate": job.success_rate,
            "findings": "; ".join(finding.message for finding in job.findings),
        }
        for job in sorted(jobs, key=lambda job: (-job.status.rank, job.job_name))
    ]
