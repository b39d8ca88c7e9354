"""The whole examination: which checks there are, in which order, and in how much time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from airflow_jobmon.doctor import channels, consumers, counting, flow, job_log, metadata, noting, processes, server
from airflow_jobmon.doctor.diagnosis import Diagnosis, not_checked, wrong
from airflow_jobmon.doctor.patient import Patient
from airflow_jobmon.doctor.rounds import Check, Need, Result, Round, softened
from airflow_jobmon.settings import Settings

PATIENCE = 5.0
"""Seconds until what has not answered is left behind; usually all is done within one."""

DATABASE = (
    Check("connection", server.connection),
    Check("server", server.server, Need.CONNECTION),
    Check("listen", server.listening, Need.CONNECTION),
    Check("schema", server.schema, Need.CONNECTION),
    Check("job log", job_log.job_log, Need.SCHEMA),
    Check("rights", job_log.rights, Need.SCHEMA),
    Check("row security", job_log.row_security, Need.LOG),
    Check("trigger", noting.trigger, Need.LOG),
    Check("trigger function", noting.trigger_function, Need.SCHEMA),
    Check("replication", noting.replication, Need.LOG),
    Check("prepared transactions", noting.prepared_transactions, Need.LOG),
    Check("notification queue", noting.notification_queue, Need.CONNECTION),
    Check("index", job_log.index, Need.LOG),
    Check("change triggers", counting.change_triggers, Need.LOG),
    Check("counted days", counting.counted_days, Need.SCHEMA),
    Check("watchers", flow.watchers, Need.SCHEMA),
    Check("events", flow.events, Need.SCHEMA),
    Check("deliveries", flow.pending, Need.SCHEMA),
    Check("channels", channels.configured, Need.SCHEMA),
    Check("channel", channels.each, Need.SCHEMA),
    Check("status words", job_log.status_words, Need.LOG),
)
"""In this order: later ones need what earlier ones reach, and the slowest comes last."""

AIRFLOW = (
    Check("airflow database", metadata.metadata),
    Check("alerts dag", consumers.alerts_dag, Need.METADATA),
    Check("alerts dag runs", consumers.alerts_runs, Need.METADATA),
    Check("scheduler", processes.scheduler, Need.METADATA),
    Check("triggerer", processes.triggerer, Need.METADATA),
    Check("watching trigger", processes.watching_trigger, Need.METADATA),
    Check("triggerer capacity", processes.capacity, Need.METADATA),
)


@dataclass(frozen=True, slots=True)
class Examination:
    """results: in the order of the checks. abandoned: a check hangs in a thread that was left behind."""

    results: list[Result]
    abandoned: bool


def examine(conn_id: str, settings: Settings, *, patience: float = PATIENCE) -> Examination:
    """Make every check. Never raises for what is wrong; that is what it reports."""
    metadata.load_models()
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
    return not_checked(f"no answer from Airflow's metadata database within {seconds:.0f} s", metadata.ELSEWHERE)
