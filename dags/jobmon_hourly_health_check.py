"""Evaluates every job each hour: failed, missed, stuck, slow, success rate. Records incidents and delivers alerts.

The list below is this DAG's job registry: the expectations of each job. Each run applies it, and a job that you remove
from the list leaves the registry. To register jobs from a file instead: `airflow jobmon jobs apply FILE.yaml`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference  # type: ignore[attr-defined]  # not in its stub

from airflow_jobmon.jobs import MonitoredJob
from airflow_jobmon.notifiers import JobSlackNotifier
from airflow_jobmon.operators import JobHealthOperator

SLACK = "slackwebhook_default"
"""The connection that is notified if the check itself fails or does not finish in time."""

with DAG(
    dag_id="jobmon_hourly_health_check",
    description="Checks the health of all jobs that run outside Airflow",
    schedule="0 * * * *",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    on_failure_callback=JobSlackNotifier(conn_id=SLACK),
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=20),
        callback=AsyncCallback(JobSlackNotifier, kwargs={"conn_id": SLACK}),
    ),
    tags=["jobmon"],
    doc_md=__doc__,
):
    JobHealthOperator(
        task_id="check",
        jobs=[
            MonitoredJob(
                name="update-installment-statuses",
                schedule="0 2 * * *",
                timezone="America/New_York",
                grace=timedelta(hours=1),
                max_duration=timedelta(seconds=60),
                owner="payments",
                runbook_url="https://wiki.example.com/runbooks/update-installment-statuses",
                tags=("payments", "production-critical"),
            ),
        ],
    )
