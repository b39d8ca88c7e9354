"""`archive`."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID, ONLY_JOB

ARCHIVE = ActionCommand(
    name="archive",
    help="Move old runs out of the job log into the archive",
    func=lazy_load_command("airflow_jobmon.cli.archive_command.archive"),
    description=(
        "Moves runs that started longer ago than an age out of the job log, into airflow_jobmon.jobs_log_archive,\n"
        "or with --to into CSV files, which are read back and verified before anything is deleted.\n"
        "Never one that is still running, that its job is judged by, or that an open incident counts.\n"
        "It may be stopped and started again at any time; jobs go on running meanwhile."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon archive --older-than 90d --dry-run    how many runs of which job it would move\n"
        "  airflow jobmon archive --older-than 90d\n"
        "  airflow jobmon archive --older-than 2w --job sync\n"
        "  airflow jobmon archive --older-than 400d --to s3://aws_archive@backups/jobs_log\n\n"
        "Exit codes: 0 done, 1 not done, or rows that the database did not let go."
    ),
    args=(
        Arg(
            ("--older-than",),
            metavar="AGE",
            required=True,
            help="Runs that started longer ago than this: 90d, 12w, P90D; a day or more",
        ),
        ONLY_JOB,
        Arg(
            ("--to",),
            metavar="URI",
            help="Export to CSV files in this folder instead (file://, s3://connection@bucket/..., ...), then delete",
        ),
        Arg(("--dry-run",), action="store_true", help="Count what would be moved, and change nothing"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)
