"""The morning check: the health of all jobs, failures of the last 24 hours, missed runs and open incidents.

If all jobs are healthy, the digest is one line. `CHANNELS` selects the recipients; each team can have a DAG of its own.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_jobmon.operators import JobReportOperator

CHANNELS = None
"""Connection ids, like ["oncall_slack", "oncall_mail"]; None: [jobmon] channels."""

with DAG(
    dag_id="jobmon_daily_digest",
    description="Sends on-call the health of all jobs each morning",
    schedule="0 7 * * *",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    tags=["jobmon"],
    doc_md=__doc__,
):
    JobReportOperator(task_id="report", report="daily", channels=CHANNELS)
