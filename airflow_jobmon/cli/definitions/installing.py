"""`migrate` and `doctor`."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, lazy_load_command

from airflow_jobmon.cli.definitions.arguments import CONN_ID

MIGRATE = ActionCommand(
    name="migrate",
    help="Create or update the airflow_jobmon schema and the triggers on the job log",
    func=lazy_load_command("airflow_jobmon.cli.migrate_command.migrate"),
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
    func=lazy_load_command("airflow_jobmon.cli.doctor_command.doctor"),
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
