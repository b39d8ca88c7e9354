"""`jobs`: the registry."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

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
