"""`drill`: alert tests."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

_JOB = Arg(("--job",), metavar="JOB", required=True, help="The job to hold it for")
_WITHIN = Arg(
    ("--within",),
    metavar="TIME",
    help="How long the judging and each channel may take, like 90s (default: 1m; 5m for mail)",
)
_DELIVER = Arg(
    ("--deliver",),
    action="store_true",
    help="Judge and deliver here, too: proves the channels where no watcher runs, and not that one does",
)
_EXIT_CODES = "Exit codes: 0 it passed, 1 it did not, or could not be held."

FAILURE = ActionCommand(
    name="failure",
    help="Simulate a failed run and time how long each channel takes to accept its alert",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.failure"),
    description=(
        "Logs a failed run of a job, marked as a test, and follows it: trigger, watcher, alert, channels.\n"
        "The run is deleted at the end; it opens no incident and counts in no statistic."
    ),
    epilog=f"Example:\n  airflow jobmon drill failure --job nightly-invoices\n\n{_EXIT_CODES}",
    args=(_JOB, _WITHIN, _DELIVER, ARG_OUTPUT, CONN_ID),
)

MISSED = ActionCommand(
    name="missed",
    help="Find out whether a missed run would be noticed, and tell it as a test",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.missed"),
    description=(
        "Judges a job as it will stand a second after its next run is due, should none come, and tells\n"
        "that as a test. "
        "The job itself goes on as it is scheduled, unless --unschedule is given."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon drill missed --job nightly-invoices\n"
        "  airflow jobmon drill missed --job nightly-invoices --unschedule\n\n"
        f"{_EXIT_CODES}"
    ),
    args=(
        _JOB,
        Arg(
            ("--unschedule",),
            action="store_true",
            help="Take the job's schedule off pg_cron meanwhile, and put it back as it was",
        ),
        Arg(
            ("--cron-job",),
            metavar="NAME",
            help="Which job of pg_cron that is, by name or number (default: the only one that speaks of the job)",
        ),
        _WITHIN,
        _DELIVER,
        ARG_OUTPUT,
        CONN_ID,
    ),
)

END_TO_END = ActionCommand(
    name="end-to-end",
    help="Call the real job on test data and check what it did",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.end_to_end"),
    description=(
        "Makes test data, calls the real job, waits for its run, checks what it did, removes the test data.\n"
        "The run is a real one: it is judged and counted like any other."
    ),
    epilog=(
        "Example of a plan:\n"  # noqa: S608 - words
        "  setup_sql: INSERT INTO invoices (due) VALUES (current_date - 2) RETURNING id AS invoice\n"
        "  http_conn_id: edge_functions\n"
        "  endpoint: functions/v1/nightly-invoices\n"
        "  check_sql: SELECT status FROM invoices WHERE id = %(invoice)s\n"
        "  expected: overdue\n"
        "  cleanup_sql: DELETE FROM invoices WHERE id = %(invoice)s\n\n"
        f"{_EXIT_CODES}"
    ),
    args=(
        _JOB,
        Arg(("--plan",), metavar="FILE", required=True, help="YAML file that says how to try this job"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

DRILL = GroupCommand(
    name="drill",
    help="Alert tests: prove that alerts arrive, and how long they take",
    subcommands=(FAILURE, MISSED, END_TO_END),
)
