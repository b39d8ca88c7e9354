"""All commands of `airflow jobmon`; imported on every airflow call, so it holds words and no code."""

from __future__ import annotations

from airflow.cli.cli_config import GroupCommand

from airflow_jobmon.cli.definitions.archive import ARCHIVE
from airflow_jobmon.cli.definitions.drills import DRILL
from airflow_jobmon.cli.definitions.incidents import ALERTS, INCIDENTS
from airflow_jobmon.cli.definitions.installing import DOCTOR, MIGRATE
from airflow_jobmon.cli.definitions.querying import QUERY
from airflow_jobmon.cli.definitions.registry import JOBS
from airflow_jobmon.cli.definitions.reports import AUDIT, REPORT
from airflow_jobmon.cli.definitions.silences import ACK, SILENCE, UNSILENCE
from airflow_jobmon.cli.definitions.watching import CHECK, DELIVER, LISTEN

COMMANDS = (
    MIGRATE,
    DOCTOR,
    CHECK,
    LISTEN,
    DELIVER,
    ALERTS,
    INCIDENTS,
    SILENCE,
    UNSILENCE,
    ACK,
    REPORT,
    AUDIT,
    QUERY,
    JOBS,
    DRILL,
    ARCHIVE,
)


def get_jobmon_commands() -> list[GroupCommand]:
    return [
        GroupCommand(
            name="jobmon",
            help="Watch jobs that run outside Airflow",
            description="Watches jobs that run outside Airflow and log a row per run in a Postgres table.",
            subcommands=COMMANDS,
        )
    ]
