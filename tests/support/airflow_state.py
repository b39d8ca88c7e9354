"""Runs the doctor's checks of Airflow, and assigns triggers as Airflow's own triggerer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_jobmon.doctor.checks import AIRFLOW_CHECKS
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult
from airflow_jobmon.doctor.runner import run_check
from airflow_jobmon.settings import Settings
from tests.support.doctor_checks import assert_well_formed

CONSUMER = "team_alerts"
"""A DAG of its own name: consumers are found by the asset."""


def run_airflow_checks() -> dict[str, CheckResult]:
    """The results of every check of Airflow, each asserted to be well formed."""
    installation = CheckedInstallation("jobmon_default", Settings())
    found = {}
    for check in AIRFLOW_CHECKS:
        for result in run_check(check, installation):
            assert_well_formed(result)
            found[f"{result.check} {result.about}".strip()] = result
    return found


def assign(metadata: Callable[..., Any], triggerer: int, capacity: int = 1000) -> None:
    """Assign the waiting triggers to a triggerer up to its capacity, as the triggerer itself does every second."""
    from airflow.models import Trigger

    metadata(lambda session: Trigger.assign_unassigned(triggerer, capacity, 30, session=session))
