"""Delivers alerts within seconds: woken whenever the watcher in the triggerer finds one that is due.

Keep this DAG on: a paused one has no watcher. `airflow jobmon listen` does the same as a process of its own; both may
run at once.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.operators import DeliverAlertsOperator

with DAG(
    dag_id="jobmon_alerts",
    description="Delivers the alerts that are due",
    schedule=[jobmon_alerts_asset],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["jobmon"],
    doc_md=__doc__,
):
    DeliverAlertsOperator(task_id="deliver")
