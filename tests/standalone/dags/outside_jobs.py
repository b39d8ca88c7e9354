"""DAGs of other teams: one waits for an outside job, one is started by one, one fails."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task

from airflow_jobmon.assets import job_run_asset
from airflow_jobmon.notifiers import JobEmailNotifier, JobSlackNotifier
from airflow_jobmon.sensors import JobsLogSensor

with DAG("waits_for_outside_load", schedule=None, is_paused_upon_creation=False):
    JobsLogSensor(task_id="wait", job_name="outside-load", since=timedelta(minutes=1), deferrable=True, timeout=600)

with DAG("started_by_outside_extract", schedule=[job_run_asset("outside-extract")], is_paused_upon_creation=False):

    @task
    def use() -> dict[str, object]:
        ((event,),) = get_current_context()["triggering_asset_events"].values()
        return dict(event.extra["payload"])

    use()

with DAG(
    "fails_by_itself",
    schedule=None,
    is_paused_upon_creation=False,
    on_failure_callback=JobSlackNotifier(job_name="the whole DAG", runbook_url="https://wiki.example.com/etl"),
):

    @task(on_failure_callback=JobEmailNotifier())
    def divide() -> None:
        raise ZeroDivisionError("<b>nothing</b> to divide by, {{ 7*7 }}")

    divide()
