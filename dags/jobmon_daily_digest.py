"""The morning check: health of all jobs, failures of the last 24 hours, what did not run, what is open; short.

When all is well it is one line. `CHANNELS` says who gets it: each team may have a DAG of its own.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_jobmon.operators import JobReportOperator

CHANNELS = None
"""Connection ids, like ["oncall_slack", "oncall_mail"]; None: those of [jobmon] channels."""

with DAG(
    dag_id="jobmon_daily_digest",
    description="Tells on-call each morning how the jobs are",
    schedule="0 7 * * *",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    tags=["jobmon"],
    doc_md=__doc__,
):
    JobReportOperator(task_id="report", report="daily", channels=CHANNELS)
