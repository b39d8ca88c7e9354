"""What the doctor sees of Airflow, and what Airflow's own triggerer would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_jobmon.doctor.checks import AIRFLOW
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, State
from airflow_jobmon.doctor.runner import make
from airflow_jobmon.settings import Settings

CONSUMER = "team_alerts"
"""A DAG of its own name: consumers are found by the asset."""


def seen() -> dict[str, Diagnosis]:
    """What every check of Airflow sees; holds what is said to the rules for what is said."""
    patient = Patient("jobmon_default", Settings())
    found = {}
    for check in AIRFLOW:
        for result in make(check, patient):
            diagnosis = result.diagnosis
            print(f"{diagnosis.state} | {check.name} {diagnosis.about} | {diagnosis.seen} | {diagnosis.advice}")  # noqa: T201 - shown where a test fails
            assert "\n" not in diagnosis.seen + diagnosis.advice
            assert diagnosis.advice or diagnosis.state in {State.OK, State.NOT_CHECKED}
            found[f"{check.name} {diagnosis.about}".strip()] = diagnosis
    return found


def assign(metadata: Callable[..., Any], triggerer: int, capacity: int = 1000) -> None:
    """What a triggerer does each second: take the triggers that wait, as far as it has places."""
    from airflow.models import Trigger

    metadata(lambda session: Trigger.assign_unassigned(triggerer, capacity, 30, session=session))
