"""The commands as `airflow` lists them; imported on every airflow call, so it holds words and no code."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand, lazy_load_command

CONN_ID = Arg(
    ("--conn-id",),
    metavar="ID",
    help="Connection (type postgres) to the job log's database (default: conn_id of section jobmon)",
)
ONLY_JOB = Arg(("--job",), metavar="JOB", help="Only this job")
LIMIT = Arg(("--limit",), metavar="N", type=int, default=50, help="At most this many, newest first (default: 50)")

MIGRATE = ActionCommand(
    name="migrate",
    help="Create or update the airflow_jobmon schema and the triggers on the job log",
    func=lazy_load_command("airflow_jobmon.cli.migrate.migrate"),
    description=(
        "Creates or updates the schema airflow_jobmon and the triggers on the job log.\n"
        "Safe to run twice, and while jobs run: where the table is busy, it waits briefly and tries again.\n"
        "Run it again after changing jobs_log_table, jobs_log_columns or status_words."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon migrate\n"
        "  airflow jobmon migrate --create-jobs-log      also make public.jobs_log, on an empty database\n"
        "  airflow jobmon migrate --sql | psql -f - ...  for those who may not run it themselves\n\n"
        "Exit codes: 0 done, 1 not done (nothing is left half changed)."
    ),
    args=(
        Arg(("--sql",), action="store_true", help="Print the SQL for psql instead of running it"),
        Arg(("--create-jobs-log",), action="store_true", help="Create the job log table too, where it does not exist"),
        CONN_ID,
    ),
)

DOCTOR = ActionCommand(
    name="doctor",
    help="Find and explain what would keep alerts from arriving",
    func=lazy_load_command("airflow_jobmon.cli.doctor.doctor"),
    description=(
        "Finds and explains what would keep alerts from arriving: in the database, in the channels, in Airflow.\n"
        "Changes nothing and sends nothing. Where Airflow's metadata database is out of reach, what takes it is\n"
        "not checked here."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon doctor\n"
        "  airflow jobmon doctor -o json | jq '.[] | select(.state == \"wrong\")'\n\n"
        "Exit codes: 0 nothing is wrong (there may be warnings), 1 something is."
    ),
    args=(ARG_OUTPUT, CONN_ID),
)

CHECK = ActionCommand(
    name="check",
    help="Judge jobs now, and say by the exit code how they are",
    func=lazy_load_command("airflow_jobmon.cli.check.check"),
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
    func=lazy_load_command("airflow_jobmon.cli.listen.listen"),
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
    func=lazy_load_command("airflow_jobmon.cli.deliver.deliver"),
    description="Sends every alert that is due on the channels that the configuration and the registered jobs name.",
    epilog=(
        "Example:\n"
        "  airflow jobmon deliver -o json\n\n"
        "Exit codes: 0 nothing is left that should have been sent, 1 a channel did not take what was due."
    ),
    args=(ARG_OUTPUT, CONN_ID),
)

ALERTS = ActionCommand(
    name="alerts",
    help="List alerts and where each was delivered; retry dead ones",
    func=lazy_load_command("airflow_jobmon.cli.alerts.alerts"),
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
    help="List open problems, or with --all the ended ones too",
    func=lazy_load_command("airflow_jobmon.cli.incidents.incidents"),
    description="Lists incidents, newest first. At most one is open per job and kind of problem.",
    epilog=(
        "Examples:\n"
        "  airflow jobmon incidents\n"
        "  airflow jobmon incidents --all --job nightly-invoices -o yaml\n\n"
        "Exit codes: 0 listed (whether any is open or not; see check for that), 1 could not."
    ),
    args=(
        Arg(("--all",), action="store_true", help="Resolved ones too"),
        ONLY_JOB,
        LIMIT,
        ARG_OUTPUT,
        CONN_ID,
    ),
)

JOBS_LIST = ActionCommand(
    name="list",
    help="List the registered jobs and who registered each",
    func=lazy_load_command("airflow_jobmon.cli.jobs.list_registered"),
    description="Lists the registered jobs, what is expected of each, and who registered it.",
    epilog="Example:\n  airflow jobmon jobs list -o yaml\n\nExit codes: 0 listed, 1 could not.",
    args=(ARG_OUTPUT, CONN_ID),
)

JOBS_APPLY = ActionCommand(
    name="apply",
    help="Register the jobs of a YAML file, all or none",
    func=lazy_load_command("airflow_jobmon.cli.jobs.apply"),
    description=(
        "Registers the jobs of a YAML file, all or none. A job of the file that is registered already is changed;\n"
        "one that another source registered is refused. One that was taken out of the file stays registered, unless\n"
        "--prune takes it off."
    ),
    epilog=(
        "Example of a file:\n"
        "  jobs:\n"
        "    - name: nightly-invoices\n"
        "      schedule: 0 2 * * *\n"
        "      timezone: Europe/Berlin\n"
        "      grace: 30m\n"
        "    - name: sync-customers\n"
        "      every: 15m\n\n"
        "Exit codes: 0 registered, 1 nothing was changed."
    ),
    args=(
        Arg(("file",), metavar="FILE", help="YAML file with a list of jobs under `jobs:`"),
        Arg(("--prune",), action="store_true", help="Take off the jobs that this file registered and no longer lists"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

JOBS = GroupCommand(
    name="jobs",
    help="The registry: which jobs are expected to run, and when",
    subcommands=(JOBS_LIST, JOBS_APPLY),
)

COMMANDS = (MIGRATE, DOCTOR, CHECK, LISTEN, DELIVER, ALERTS, INCIDENTS, JOBS)


def get_jobmon_commands() -> list[GroupCommand]:
    return [
        GroupCommand(
            name="jobmon",
            help="Watch jobs that run outside Airflow",
            description="Watches jobs that run outside Airflow and log a row per run in a Postgres table.",
            subcommands=COMMANDS,
        )
    ]
