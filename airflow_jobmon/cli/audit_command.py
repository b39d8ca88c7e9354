"""`airflow jobmon audit`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_jobmon.cli.command import command, database, ready_target, say
from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.core.drills import drills
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.settings import Settings


@command()
def audit(args: Namespace) -> Outcome:
    from airflow_jobmon.runtime.report import SENT_NOWHERE, announce, make_audit  # noqa: PLC0415 - psycopg, only when it runs

    if args.channels is not None and not args.send:
        raise ConfigurationError("--channels says where to send the report, and it is only printed; add --send")
    target, settings = ready_target(args)
    archived = _archive(args)
    held = None if args.no_drill else _drill(args, settings)
    say("exporting the monitoring queries")
    report = make_audit(
        target,
        settings,
        keep_at=args.keep_at,
        job_name=args.job,
        archive=archived,
        drills=held,
        drilled=not args.no_drill,
    )
    say(f"kept at {report.details['kept_at']}")
    # Also where it is only printed, since the next audit goes on from this one.
    told = announce(target, report, settings, args.channels if args.send else ())
    failed = told.failed
    for name, state in (*told.states.items(), *failed.items()):
        say(f"channel {name}: {state}")
    if args.send and told.nowhere:
        say(f"warning: {SENT_NOWHERE}")
    text = report_text(report) if args.output in {"table", "plain"} else None
    return Outcome(value=report.as_json(), text=text, exit_code=1 if failed or report.details["problems"] else 0)


def _archive(args: Namespace) -> dict[str, Any] | None:
    """What archiving did, or, without --archive, would do."""
    from airflow_jobmon.archive.archiving import archive_runs  # noqa: PLC0415

    with database(args) as (conn, _):
        try:
            done = archive_runs(conn, args.older_than, job=args.job, dry_run=not args.archive, progress=say)
        except ConfigurationError:
            raise
        except JobmonError as error:  # the rest of the audit is worth having all the same
            say(f"archive: {error}")
            return None
    return done.as_json(most_jobs=100)


def _drill(args: Namespace, settings: Settings) -> list[list[dict[str, Any]] | None]:
    """The steps of a drill for each job that it takes to reach every channel."""
    from airflow_jobmon.reports.audit import drill_targets  # noqa: PLC0415
    from airflow_jobmon.runtime.drill import run_drill  # noqa: PLC0415

    with database(args) as (conn, _):
        targets = drill_targets(conn, settings, args.job)
    held: list[list[dict[str, Any]] | None] = []
    for name in targets:
        say(f"holding the {drills.FAILURE} drill for {name}")
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
            say(f"drill for {name}: {error}")
            held.append(None)
        else:
            held.append([step.as_json() for step in result.steps])
    return held
