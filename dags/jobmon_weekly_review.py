"""The weekly review: success against 95 and 98 %, durations and records of each job beside the week before.

It names what to act on and which clock changes of the coming week touch a schedule. `KEEP_AT` keeps it as a page with
charts too; where a browser can open that directory, give its address as `PAGE_URL`, and messages link to it.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_jobmon.operators import JobReportOperator

CHANNELS = None
"""Connection ids, like ["devops_slack"]; None: those of [jobmon] channels."""

KEEP_AT = None
"""Where to keep the page, like "s3://aws_default@reports/jobmon" or "file:///srv/reports"; None: nowhere."""

PAGE_URL = None

with DAG(
    dag_id="jobmon_weekly_review",
    description="Tells DevOps each Monday how the week of each job was",
    schedule="0 8 * * 1",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    tags=["jobmon"],
    doc_md=__doc__,
):
    JobReportOperator(task_id="report", report="weekly", channels=CHANNELS, keep_at=KEEP_AT, page_url=PAGE_URL)
