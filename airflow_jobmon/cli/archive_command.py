"""`airflow jobmon archive`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, database, say
from airflow_jobmon.cli.output import Outcome


@command()
def archive(args: Namespace) -> Outcome:
    from airflow_jobmon.archive.archiving import archive_runs  # noqa: PLC0415 - psycopg, only when it runs
    from airflow_jobmon.runtime.storage import StorageFolder  # noqa: PLC0415

    with database(args) as (conn, _):
        report = archive_runs(
            conn,
            args.older_than,
            job=args.job,
            to=args.to,
            dry_run=args.dry_run,
            open_folder=StorageFolder,
            progress=say,
        )
    for reason, runs in report.stay.items():
        say(f"{runs:,} older runs would stay: {reason}")
    for reason, runs in report.refused.items():
        say(f"{runs:,} older runs stay: {reason}")
    rows = [{"job_name": name, "runs": runs} for name, runs in report.jobs.most_common()]
    return Outcome(rows, value=report.as_json(), note=report.summary, exit_code=1 if report.refused else 0)
