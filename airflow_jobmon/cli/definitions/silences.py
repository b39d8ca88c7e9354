"""`silence`, `unsilence` and `ack`."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID, incident_number

_BY = Arg(("--by",), metavar="WHO", help="Who wants it (default: the login that runs this)")

SILENCE = ActionCommand(
    name="silence",
    help="Keep a job's alerts, or those of all that a glob means, from being sent for a while",
    func=lazy_load_command("airflow_jobmon.cli.silence_command.silence"),
    description=(
        "Keeps a job, or all that a glob means, quiet for a while: its alerts are recorded and not sent.\n"
        "What is still open at the end is told then. Silencing the same name again moves the end."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon silence nightly-invoices --for 2h --reason 'database upgrade'\n"
        "  airflow jobmon silence 'billing-*' --until 2025-11-14T06:00:00+01:00 --reason 'month end'\n"
        "  airflow jobmon silence --list\n\n"
        "Exit codes: 0 silenced or listed, 1 nothing was changed."
    ),
    args=(
        Arg(("name",), metavar="NAME", nargs="?", help="A job, or a glob: * is any characters, ? is one (quote it)"),
        Arg(("--for",), metavar="DURATION", dest="lasting", help="How long, like 30m, 2h or 1d"),
        Arg(("--until",), metavar="TIME", help="Until when (ISO 8601, UTC without an offset), instead of --for"),
        Arg(("--reason",), metavar="TEXT", help="Why, for those who wonder; needed"),
        _BY,
        Arg(("--list",), action="store_true", help="List what is in force (that means NAME, if given) instead"),
        Arg(("--all",), action="store_true", help="List those that have ended too"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

UNSILENCE = ActionCommand(
    name="unsilence",
    help="End a silence before its time",
    func=lazy_load_command("airflow_jobmon.cli.silence_command.lift"),
    description=(
        "Ends the silence of exactly this name now. What is still open is told by the next sweep of a watcher,\n"
        "unless another silence means it too."
    ),
    epilog=(
        "Example:\n"
        "  airflow jobmon unsilence 'billing-*'\n\n"
        "Exit codes: 0 it is over (perhaps it had ended by itself), 1 there was never a silence of this name."
    ),
    args=(
        Arg(("name",), metavar="NAME", help="The name or glob that was silenced, as it was given then"),
        _BY,
        ARG_OUTPUT,
        CONN_ID,
    ),
)

ACK = ActionCommand(
    name="ack",
    help="Say that an open incident is known, so that it is not told again",
    func=lazy_load_command("airflow_jobmon.cli.silence_command.ack"),
    description=(
        "Acknowledges open incidents: they are not told again by the clock, until they are resolved.\n"
        "A failure with a new error text is told all the same, and so is the end."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon ack nightly-invoices --note 'disk is being extended'\n"
        "  airflow jobmon ack 'billing-*' --kind missed\n"
        "  airflow jobmon ack --id 17 --undo\n\n"
        "Exit codes: 0 acknowledged (perhaps it was already), 1 nothing that is meant is open."
    ),
    args=(
        Arg(("name",), metavar="NAME", nargs="?", help="A job, or a glob: * is any characters, ? is one (quote it)"),
        Arg(
            ("--id",),
            metavar="N",
            type=incident_number,
            help="Only this incident, as `incidents` numbers them; instead of NAME",
        ),
        Arg(
            ("--kind",),
            metavar="KIND",
            choices=("failed", "missed", "stuck", "slow", "low_success_rate"),
            help="Only incidents of this kind: failed, missed, stuck, slow or low_success_rate",
        ),
        Arg(("--note",), metavar="TEXT", help="What is known or being done"),
        _BY,
        Arg(("--undo",), action="store_true", help="Take it back: told again as if it had not been acknowledged"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)
