"""`airflow jobmon audit`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_jobmon.cli.command import command, database, migrated_target, print_to_stderr
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.drills import drills
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.settings import Settings


@command()
def audit(args: Namespace) -> CommandResult:
    from airflow_jobmon.runtime.report import NO_CHANNEL, make_audit, send_to_channels  # noqa: PLC0415 - psycopg, only when the command runs

    if args.channels is not None and not args.send:
        raise ConfigurationError("--channels selects where to send the report, but it is only printed; add --send")
    target, settings = migrated_target(args)
    archived = _archive(args)
    drilled = None if args.no_drill else _drill(args, settings)
    print_to_stderr("exporting the monitoring queries")
    report = make_audit(
        target,
        settings,
        keep_at=args.keep_at,
        job_name=args.job,
        archive=archived,
        drills=drilled,
        drilled=not args.no_drill,
    )
    print_to_stderr(f"kept at {report.details['kept_at']}")
    # Called also when the report is only printed: it records the audit, which the next audit compares with.
    sent = send_to_channels(target, report, settings, args.channels if args.send else ())
    failed = sent.failed
    for name, state in (*sent.states.items(), *failed.items()):
        print_to_stderr(f"channel {name}: {state}")
    if args.send and sent.has_no_channel:
        print_to_stderr(f"warning: {NO_CHANNEL}")
    text = report_text(report) if args.output in {"table", "plain"} else None
    return CommandResult(value=report.as_json(), text=text, exit_code=1 if failed or report.details["problems"] else 0)


def _archive(args: Namespace) -> dict[str, Any] | None:
    """The report of archiving, or, without --archive, of a dry run; None if it failed."""
    from airflow_jobmon.archive.archiving import archive_runs  # noqa: PLC0415

    with database(args) as (conn, _):
        try:
            archived = archive_runs(
                conn, args.older_than, job=args.job, dry_run=not args.archive, progress=print_to_stderr
            )
        except ConfigurationError:
            raise
        except JobmonError as error:  # the rest of the audit is still worth having
            print_to_stderr(f"archive: {error}")
            return None
    return archived.as_json(most_jobs=100)


def _drill(args: Namespace, settings: Settings) -> list[list[dict[str, Any]] | None]:
    """The steps of each drill (None: it could not run), for as many jobs as it takes to reach every channel."""
    from airflow_jobmon.reports.audit import drill_targets  # noqa: PLC0415
    from airflow_jobmon.runtime.drill import run_drill  # noqa: PLC0415

    with database(args) as (conn, _):
        targets = drill_targets(conn, settings, args.job)
    drilled: list[list[dict[str, Any]] | None] = []
    for name in targets:
        print_to_stderr(f"running the {drills.FAILURE} drill for {name}")
        try:
            result = run_drill(
                drills.FAILURE,
                name,
                settings,
                conn_id=args.conn_id,
                within=drills.read_within(args.within),
                deliver=args.deliver,
            )
        except ConfigurationError:
            raise
        except JobmonError as error:
            print_to_stderr(f"drill for {name}: {error}")
            drilled.append(None)
        else:
            drilled.append([step.as_json() for step in result.steps])
    return drilled
