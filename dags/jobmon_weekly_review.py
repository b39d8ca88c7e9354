"""The weekly review: each job's success rate, durations and records of the last seven days, against the seven before.

Success rates are compared with 95 and 98 %. The review lists action items, and the clock changes of the coming week
that affect a schedule. Set `KEEP_AT` to also keep it as a page with charts; if a browser can open that directory, set
its address as `PAGE_URL`, and messages link to the page.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_jobmon.operators import JobReportOperator

CHANNELS = None
"""Connection ids, like ["devops_slack"]; None: [jobmon] channels."""

KEEP_AT = None
"""Where to keep the page, like "s3://aws_default@reports/jobmon" or "file:///srv/reports"; None: nowhere."""

PAGE_URL = None

with DAG(
    dag_id="jobmon_weekly_review",
    description="Sends DevOps a review of each job's week on Mondays",
    schedule="0 8 * * 1",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    tags=["jobmon"],
    doc_md=__doc__,
):
    JobReportOperator(task_id="report", report="weekly", channels=CHANNELS, keep_at=KEEP_AT, page_url=PAGE_URL)
