"""`alerts` and `incidents`."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID, LIMIT, ONLY_JOB, incident_number

ALERTS = ActionCommand(
    name="alerts",
    help="List alerts and where each was delivered; retry dead ones",
    func=lazy_load_command("airflow_jobmon.cli.alerts_command.alerts"),
    description="Lists alerts, newest first, a row per channel: pending, sent, dead (refused for good) or silenced.",
    epilog=(
        "Examples:\n"
        "  airflow jobmon alerts --state dead       what never arrived, and why\n"
        "  airflow jobmon alerts --retry            after mending the channel: send the dead ones again\n\n"
        "Exit codes: 0 listed, 1 could not."
    ),
    args=(
        Arg(
            ("--state",),
            metavar="STATE",
            choices=("pending", "sent", "dead", "silenced"),
            help="Only deliveries in this state: pending, sent, dead or silenced",
        ),
        Arg(("--retry",), action="store_true", help="Put dead deliveries (of --job, if given) back to pending"),
        ONLY_JOB,
        LIMIT,
        ARG_OUTPUT,
        CONN_ID,
    ),
)

INCIDENTS = ActionCommand(
    name="incidents",
    help="List open problems, or with --all the ended ones too; with --id the history of one",
    func=lazy_load_command("airflow_jobmon.cli.incidents_command.incidents"),
    description=(
        "Lists incidents, newest first. At most one is open per job and kind of problem.\n"
        "With --id, tells the history of one: when it opened, who was told, where and when, who knew, and its end."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon incidents\n"
        "  airflow jobmon incidents --all --job nightly-invoices -o yaml\n"
        "  airflow jobmon incidents --id 17\n\n"
        "Exit codes: 0 listed (whether any is open or not; see check for that), 1 could not."
    ),
    args=(
        Arg(("--all",), action="store_true", help="Resolved ones too"),
        Arg(("--id",), metavar="N", type=incident_number, help="The history of this one"),
        ONLY_JOB,
        LIMIT,
        ARG_OUTPUT,
        CONN_ID,
    ),
)
