"""`jobs`: the registry."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID, ONLY_JOB

_FILE_FORMAT = Arg(
    ("-o", "--output"),
    metavar="FORMAT",
    choices=("yaml", "json"),
    default="yaml",
    help="yaml (default) or json, which has no comments",
)

_OF_SOURCE = Arg(
    ("--source",),
    metavar="SOURCE",
    help="Only what this source registered, as `jobs list` shows it: dag:..., file:..., or the name of a file",
)

JOBS_LIST = ActionCommand(
    name="list",
    help="List the registered jobs and who registered each",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.list_registered"),
    description="Lists the registered jobs: how each is (as last judged), what is expected of it, who registered it.",
    epilog="Example:\n  airflow jobmon jobs list -o yaml\n\nExit codes: 0 listed, 1 could not.",
    args=(_OF_SOURCE, ARG_OUTPUT, CONN_ID),
)

JOBS_APPLY = ActionCommand(
    name="apply",
    help="Register the jobs of a YAML file, all or none",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.apply"),
    description=(
        "Registers the jobs of a YAML file, all or none. A job of the file that is registered already is changed;\n"
        "one that another source registered is refused. One that was taken out of the file stays registered, unless\n"
        "--prune takes it off. Prints what changed, field by field."
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
        "Examples:\n"
        "  airflow jobmon jobs apply jobs.yaml --prune --dry-run\n"
        "  generate-jobs | airflow jobmon jobs apply - --source generated\n\n"
        "Exit codes: 0 registered (or, in a dry run, could be), 1 nothing was changed."
    ),
    args=(
        Arg(("file",), metavar="FILE", help="YAML file with a list of jobs under `jobs:`; - reads standard input"),
        Arg(("--dry-run",), action="store_true", help="Only print what would change"),
        Arg(
            ("--prune",), action="store_true", help="Take off the jobs that this source registered and no longer lists"
        ),
        Arg(
            ("--source",),
            metavar="NAME",
            help="Who registers these jobs (default: the file's `source:`, else the file's name without its folder)",
        ),
        Arg(("--take-over",), action="store_true", help="Take the jobs of the file over from whoever registered them"),
        Arg(
            ("--allow-unknown-channels",),
            action="store_true",
            help="Take channels too that are no connection here",
        ),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

JOBS_EXPORT = ActionCommand(
    name="export",
    help="Print the registry as a file that `jobs apply` reads",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.export"),
    description=(
        "Prints the registry as a file that `jobs apply` reads back to the same: each job with what was set on it,\n"
        "under a comment that says who registered it."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon jobs export > all-jobs.yaml\n"
        "  airflow jobmon jobs export --source dag:jobmon_hourly_health_check/check\n\n"
        "Exit codes: 0 printed, 1 could not."
    ),
    args=(
        _OF_SOURCE,
        _FILE_FORMAT,
        CONN_ID,
    ),
)

JOBS_REMOVE = ActionCommand(
    name="remove",
    help="Take jobs off the registry",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.remove"),
    description=(
        "Takes jobs off the registry, by name or all of a source. Their runs and incidents stay. A DAG that still\n"
        "lists one registers it again at its next run. From then on a job is one that nobody registered: see\n"
        "unregistered_jobs."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon jobs remove nightly-invoices\n"
        "  airflow jobmon jobs remove --source dag:old_health_check/check\n\n"
        "Exit codes: 0 removed, 1 nothing was changed."
    ),
    args=(
        Arg(("jobs",), metavar="JOB", nargs="*", help="Names of jobs"),
        Arg(("--source",), metavar="SOURCE", help="All that this source registered, as `jobs list` shows it"),
        ARG_OUTPUT,
        CONN_ID,
    ),
)

JOBS_SCHEMA = ActionCommand(
    name="schema",
    help="Print a JSON Schema of the file that `jobs apply` reads",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.schema"),
    description="Prints a JSON Schema of the file that `jobs apply` reads, for editors. Needs no database.",
    epilog=(
        "Example:\n"
        "  airflow jobmon jobs schema > jobs.schema.json\n"
        "and as the first line of the jobs' file:\n"
        "  # yaml-language-server: $schema=jobs.schema.json\n\n"
        "Exit codes: 0 printed."
    ),
    args=(),
)

JOBS_SUGGEST = ActionCommand(
    name="suggest",
    help="Print a registry that is learned from the history",
    func=lazy_load_command("airflow_jobmon.cli.jobs_suggest_command.suggest_jobs"),
    description=(
        "Prints a file that `jobs apply` reads: what to expect of each job that is in the log and not registered, as\n"
        "far as its runs show: its schedule and zone, grace, timeout and max_duration, each with the evidence as a\n"
        "comment. Jobs whose runs show no schedule are listed at the end, with the reason. Changes nothing."
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon jobs suggest > jobs.yaml\n"
        "  airflow jobmon jobs suggest --job nightly-invoices --timezone Europe/Berlin\n\n"
        "Exit codes: 0 printed, 1 could not."
    ),
    args=(
        ONLY_JOB,
        Arg(("--days",), metavar="N", type=int, default=400, help="Look at this many days at most (default: 400)"),
        Arg(
            ("--timezone",),
            metavar="ZONE",
            action="append",
            default=[],
            help="A zone that jobs may be scheduled in, likelier than others; may be given several times",
        ),
        _FILE_FORMAT,
        CONN_ID,
    ),
)

JOBS = GroupCommand(
    name="jobs",
    help="The registry: which jobs are expected to run, and when",
    subcommands=(JOBS_LIST, JOBS_APPLY, JOBS_EXPORT, JOBS_REMOVE, JOBS_SCHEMA, JOBS_SUGGEST),
)
