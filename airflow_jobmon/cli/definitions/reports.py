"""`report` and `audit`: the morning digest, the weekly review, the monthly audit."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

REPORT = ActionCommand(
    name="report",
    help="Print or send the morning digest or the weekly review",
    func=lazy_load_command("airflow_jobmon.cli.report_command.report"),
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

AUDIT = ActionCommand(
    name="audit",
    help="Export all queries, archive old runs, prove that alerts arrive, and report it",
    func=lazy_load_command("airflow_jobmon.cli.audit_command.audit"),
    description=(
        "The monthly audit: runs all monitoring queries and keeps their results with a manifest, archives old runs\n"
        "(where --archive is given; else it says how many it would), holds an alert drill that reaches every channel,\n"
        "lists error texts that are new since the last audit, and prints one report."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon audit --keep-at s3://aws_default@audits/jobmon --archive --send\n"
        "  airflow jobmon audit --no-drill -o json\n\n"
        "Exit codes: 0 all done and proven, 1 something was not."
    ),
    args=(
        Arg(("--keep-at",), metavar="URI", help="Directory for the export (default: AIRFLOW_HOME/jobmon-audits)"),
        Arg(("--job",), metavar="JOB", help="Export, archive and drill this job only"),
        Arg(("--archive",), action="store_true", help="Archive old runs, instead of only counting them"),
        Arg(("--older-than",), metavar="AGE", default="90d", help="What is old for the archive (default: 90d)"),
        Arg(("--no-drill",), action="store_true", help="Hold no alert drill"),
        Arg(("--within",), metavar="TIME", help="How long a drill's alert may take (default: 1m, by mail 5m)"),
        Arg(("--deliver",), action="store_true", help="Judge and deliver the drill here too, where nobody watches"),
        Arg(("--send",), action="store_true", help="Send the report too"),
        Arg(("--channels",), metavar="IDS", help="Send it to these (default: channels of section jobmon)"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)
