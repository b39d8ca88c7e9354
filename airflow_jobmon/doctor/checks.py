"""The whole examination: which checks there are, in which order, and in how much time."""

from __future__ import annotations

import time
from dataclasses import dataclass

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
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, not_checked, wrong
from airflow_jobmon.doctor.runner import Check, Need, Result, Round, softened
from airflow_jobmon.settings import Settings

PATIENCE = 5.0
"""Seconds until what has not answered is left behind; usually all is done within one."""

DATABASE = (
    Check("connection", check_server.connection),
    Check("server", check_server.server, Need.CONNECTION),
    Check("listen", check_server.listening, Need.CONNECTION),
    Check("schema", check_server.schema, Need.CONNECTION),
    Check("job log", check_jobs_log.job_log, Need.SCHEMA),
    Check("rights", check_jobs_log.rights, Need.SCHEMA),
    Check("row security", check_jobs_log.row_security, Need.LOG),
    Check("trigger", check_triggers.trigger, Need.LOG),
    Check("trigger function", check_triggers.trigger_function, Need.SCHEMA),
    Check("replication", check_triggers.replication, Need.LOG),
    Check("prepared transactions", check_triggers.prepared_transactions, Need.LOG),
    Check("notification queue", check_triggers.notification_queue, Need.CONNECTION),
    Check("index", check_jobs_log.index, Need.LOG),
    Check("change triggers", check_day_stats.change_triggers, Need.LOG),
    Check("counted days", check_day_stats.counted_days, Need.SCHEMA),
    Check("watchers", check_queues.watchers, Need.SCHEMA),
    Check("events", check_queues.events, Need.SCHEMA),
    Check("deliveries", check_queues.pending, Need.SCHEMA),
    Check("channels", check_channels.configured, Need.SCHEMA),
    Check("channel", check_channels.each, Need.SCHEMA),
    Check("status words", check_jobs_log.status_words, Need.LOG),
)
"""In this order: later ones need what earlier ones reach, and the slowest comes last."""

AIRFLOW = (
    Check("airflow database", check_metadata_db.metadata),
    Check("alerts dag", check_alerts_dag.alerts_dag, Need.METADATA),
    Check("alerts dag runs", check_alerts_dag.alerts_runs, Need.METADATA),
    Check("scheduler", check_airflow_processes.scheduler, Need.METADATA),
    Check("triggerer", check_airflow_processes.triggerer, Need.METADATA),
    Check("watching trigger", check_airflow_processes.watching_trigger, Need.METADATA),
    Check("triggerer capacity", check_airflow_processes.capacity, Need.METADATA),
)


@dataclass(frozen=True, slots=True)
class Examination:
    """results: in the order of the checks. abandoned: a check hangs in a thread that was left behind."""

    results: list[Result]
    abandoned: bool


def examine(conn_id: str, settings: Settings, *, patience: float = PATIENCE) -> Examination:
    """Make every check. Never raises for what is wrong; that is what it reports."""
    check_metadata_db.load_models()
    patient = Patient(conn_id, settings)
    database = Round(DATABASE, patient, silent=lambda seconds: _no_answer(patient, seconds))
    airflow = Round(AIRFLOW, patient, silent=_no_airflow)
    began = time.monotonic()
    database.start()
    airflow.start()
    seen = database.results(patience, 0)
    over = time.monotonic() - began
    seen_of_airflow = airflow.results(patience - over, over)
    if not database.is_alive():
        patient.close()
    return Examination(
        seen + softened(seen_of_airflow, patient.delivering), abandoned=database.is_alive() or airflow.is_alive()
    )


def _no_answer(patient: Patient, seconds: float) -> Diagnosis:
    if patient.conninfo is None:
        return wrong(
            f"connection {patient.conn_id!r} was not found within {seconds:.0f} s: whoever keeps it does not answer, "
            "Airflow's metadata database or a secrets backend",
            f"see to that; until then it may be given as AIRFLOW_CONN_{patient.conn_id.upper()}",
        )
    return wrong(
        f"no answer within {seconds:.0f} s",
        "look at the server's load and at the network between; then run the doctor again",
    )


def _no_airflow(seconds: float) -> Diagnosis:
    return not_checked(
        f"no answer from Airflow's metadata database within {seconds:.0f} s", check_metadata_db.ELSEWHERE
    )
