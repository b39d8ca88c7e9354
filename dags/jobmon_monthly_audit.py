"""The monthly audit: exports all queries, archives old runs, verifies that alerts arrive, and reports the results.

The drills reach every channel that alerts go to. The report lists what was exported (with row counts and checksums),
what was archived, how long each channel took, and the error texts that are new since the last audit, for a review of
the runbook. The last task fails if a step was not completed or verified.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, Param, task

from airflow_jobmon.operators import AlertDrillOperator, ArchiveJobsLogOperator, JobReportOperator

CHANNELS = None
"""Connection ids of the recipients, like ["sysadmin_mail"]; None: [jobmon] channels."""

with DAG(
    dag_id="jobmon_monthly_audit",
    description="Exports, archives and verifies that alerts arrive",
    schedule="0 9 1 * *",
    start_date=datetime(2025, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    catchup=False,
    max_active_runs=1,
    params={
        "archive": Param(True, type="boolean", title="Archive", description="Off: only count what would be archived."),
        "days": Param(90, type="integer", minimum=1, maximum=3650, title="Days", description="Runs older than this."),
        "job_name": Param(
            None,
            type=["null", "string"],
            minLength=1,
            maxLength=500,
            pattern=r"\S",
            title="Job",
            description="Empty: all jobs.",
        ),
        "keep_at": Param(
            None,
            type=["null", "string"],
            minLength=1,
            pattern=r"\S",
            title="Keep at",
            description="Directory for the export, like s3://aws_default@audits/jobmon. Empty: one in AIRFLOW_HOME.",
        ),
    },
    tags=["jobmon"],
    doc_md=__doc__,
):
    archive = ArchiveJobsLogOperator(
        task_id="archive",
        older_than="{{ params.days }}d",
        job_name="{{ params.job_name or '' }}",
        dry_run="{{ not params.archive }}",
    )

    @task
    def jobs_to_drill(params: dict[str, str | None] | None = None) -> list[str]:
        """The fewest jobs whose drills reach every channel."""
        from airflow_jobmon.runtime.report import find_jobs_to_drill  # noqa: PLC0415 - only when it runs

        return find_jobs_to_drill(job_name=(params or {}).get("job_name"))

    drill = AlertDrillOperator.partial(task_id="drill", drill="failure").expand(job_name=jobs_to_drill())
    JobReportOperator(
        task_id="report",
        report="audit",
        channels=CHANNELS,
        job_name="{{ params.job_name or '' }}",
        keep_at="{{ params.keep_at or '' }}",
        archive=archive.output,
        drills=drill.output,
        trigger_rule="all_done",
    )
