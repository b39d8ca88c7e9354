"""Operators: check the health of outside jobs, deliver alerts, make reports, archive old runs, run alert drills."""

from __future__ import annotations

from airflow_jobmon.operators.archive import ArchiveJobsLogOperator
from airflow_jobmon.operators.deliver import DeliverAlertsOperator
from airflow_jobmon.operators.drill import AlertDrillOperator
from airflow_jobmon.operators.health import JobHealthOperator
from airflow_jobmon.operators.report import JobReportOperator

__all__ = [
    "AlertDrillOperator",
    "ArchiveJobsLogOperator",
    "DeliverAlertsOperator",
    "JobHealthOperator",
    "JobReportOperator",
]
