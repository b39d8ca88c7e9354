"""`report`: the morning digest and the weekly review."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

REPORT = ActionCommand(
    name="report",
    help="Print or send the morning digest or the weekly review",
    func=lazy_load_command("airflow_jobmon.cli.report.report"),
    description=(
        "Makes the morning digest (daily) or the weekly review (weekly) and prints it; with --send, sends it too.\n"
        "Judges what the log shows now and records nothing about jobs."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon report daily\n"
        "  airflow jobmon report daily --send --channels oncall_slack,oncall_mail\n"
        "  airflow jobmon report weekly --send --keep-at s3://aws_default@reports/jobmon\n\n"
        "Exit codes: 0 made (and sent, or to be tried again), 1 not made, or refused by a channel."
    ),
    args=(
        Arg(("kind",), metavar="KIND", choices=("daily", "weekly"), help="daily or weekly"),
        Arg(("--send",), action="store_true", help="Send it too"),
        Arg(("--channels",), metavar="IDS", help="Send it to these (default: channels of section jobmon)"),
        Arg(("--keep-at",), metavar="URI", help="Keep the weekly review as a page with charts in this directory"),
        Arg(("--page-url",), metavar="URL", help="Where a browser finds that directory, for the link in messages"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)
