"""`check`, `listen` and `deliver`."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

CHECK = ActionCommand(
    name="check",
    help="Judge jobs now, and say by the exit code how they are",
    func=lazy_load_command("airflow_jobmon.cli.check_command.check"),
    description=(
        "Judges jobs by what their log shows: failed, missed, late, stuck, slow, low success rate.\n"
        "Reads only, unless --record is given."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon check                                       all jobs\n"
        "  airflow jobmon check nightly-invoices -o json              one job, for a script\n"
        "  airflow jobmon check --at 2025-11-13T03:30:00+01:00        as the log showed it then\n\n"
        "Exit codes, as monitoring plugins have them: 0 ok, 1 warning, 2 critical, 3 unknown\n"
        "(also: no jobs at all, a name that nobody knows, the database out of reach)."
    ),
    args=(
        Arg(("jobs",), metavar="JOB", nargs="*", help="Names of jobs (default: all)"),
        Arg(
            ("--record",),
            action="store_true",
            help="Do what the hourly check does: open and close incidents, create alerts; sends nothing",
        ),
        Arg(
            ("--at",),
            metavar="TIME",
            help="Judge what the log showed then (ISO 8601, UTC without an offset); not with --record",
        ),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

LISTEN = ActionCommand(
    name="listen",
    help="Watch the job log and deliver alerts, until stopped",
    func=lazy_load_command("airflow_jobmon.cli.listen_command.listen"),
    description=(
        "Watches the job log and delivers alerts by itself, within milliseconds, also while the scheduler is down.\n"
        "Logs one line per event to stderr. Any number of these may run at once, beside the triggerer."
    ),
    epilog=(
        "Example:\n"
        "  airflow jobmon listen\n\n"
        "Stop it by SIGTERM or Ctrl-C: it finishes what it is sending first.\n"
        "Exit codes: 0 stopped, 1 could not start."
    ),
    args=(CONN_ID,),
)

DELIVER = ActionCommand(
    name="deliver",
    help="Send every alert that is due, once, and say what became of it",
    func=lazy_load_command("airflow_jobmon.cli.deliver_command.deliver"),
    description="Sends every alert that is due on the channels that the configuration and the registered jobs name.",
    epilog=(
        "Example:\n"
        "  airflow jobmon deliver -o json\n\n"
        "Exit codes: 0 nothing is left that should have been sent, 1 a channel did not take what was due."
    ),
    args=(ARG_OUTPUT, CONN_ID),
)
