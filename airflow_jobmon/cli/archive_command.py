"""`airflow jobmon archive`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, print_to_stderr
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.text import counted


@command()
def archive(args: Namespace) -> CommandResult:
    from airflow_jobmon.archive.archiving import archive_runs  # noqa: PLC0415 - psycopg, only when the command runs
    from airflow_jobmon.runtime.storage import StorageFolder  # noqa: PLC0415

    with database(args) as (conn, _):
        report = archive_runs(
            conn,
            args.older_than,
            job=args.job,
            to=args.to,
            dry_run=args.dry_run,
            open_folder=StorageFolder,
            progress=print_to_stderr,
        )
    for reason, runs in report.stay.items():
        print_to_stderr(f"would keep {counted(runs, 'older run', ',')}: {reason}")
    for reason, runs in report.refused.items():
        print_to_stderr(f"kept {counted(runs, 'older run', ',')}: {reason}")
    rows = [{"job_name": name, "runs": runs} for name, runs in report.jobs.most_common()]
    return CommandResult(rows, value=report.as_json(), note=report.summary, exit_code=1 if report.refused else 0)
