"""The list of all checks, in the order they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from airflow_jobmon.doctor import (
    check_airflow_processes,
    check_alerts_dag,
    check_channels,
    check_day_stats,
    check_jobs_log,
    check_metadata_db,
    check_queues,
    check_server,
    check_triggers,
)
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult


class Need(Enum):
    """What earlier checks must have reached before a check makes sense; the value says what is missing."""

    NOTHING = ""
    CONNECTION = "needs a connection to the job log's database"
    SCHEMA = "needs a migrated database"
    LOG = "needs the job log's table"
    METADATA = "needs Airflow's metadata database"


CheckFunction = Callable[[CheckedInstallation], Iterable[CheckResult]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named check. advice: what to do if the check itself raises."""

    name: str
    function: CheckFunction
    needs: Need = Need.NOTHING
    advice: str = "repair that, then run the doctor again"


DATABASE_CHECKS = (
    Check("connection", check_server.connection),
    Check("server", check_server.server, Need.CONNECTION),
    Check("listen", check_server.listening, Need.CONNECTION),
    Check("schema", check_server.schema, Need.CONNECTION),
    Check("job log", check_jobs_log.job_log, Need.SCHEMA),
    Check("rights", check_jobs_log.rights, Need.SCHEMA),
    Check("row security", check_jobs_log.row_security, Need.LOG),
    Check("trigger", check_triggers.triggers, Need.LOG),
    Check("trigger function", check_triggers.trigger_function, Need.SCHEMA),
    Check("replication", check_triggers.replication, Need.LOG),
    Check("prepared transactions", check_triggers.prepared_transactions, Need.LOG),
    Check("notification queue", check_triggers.notification_queue, Need.CONNECTION),
    Check("index", check_jobs_log.index, Need.LOG),
    Check("change triggers", check_triggers.change_triggers, Need.LOG),
    Check("counted days", check_day_stats.counted_days, Need.SCHEMA),
    Check("watchers", check_queues.watchers, Need.SCHEMA),
    Check("events", check_queues.events, Need.SCHEMA),
    Check("deliveries", check_queues.deliveries, Need.SCHEMA),
    Check("channels", check_channels.configured, Need.SCHEMA),
    Check("channel", check_channels.each, Need.SCHEMA),
    Check("status words", check_jobs_log.status_words, Need.LOG),
)
"""Later checks need what earlier ones reach; the slowest comes last."""

AIRFLOW_CHECKS = (
    Check("airflow database", check_metadata_db.metadata),
    Check("alerts dag", check_alerts_dag.alerts_dag, Need.METADATA),
    Check("alerts dag runs", check_alerts_dag.alerts_runs, Need.METADATA),
    Check("scheduler", check_airflow_processes.scheduler, Need.METADATA),
    Check("triggerer", check_airflow_processes.triggerer, Need.METADATA),
    Check("watching trigger", check_airflow_processes.watching_trigger, Need.METADATA),
    Check("triggerer capacity", check_airflow_processes.capacity, Need.METADATA),
)
