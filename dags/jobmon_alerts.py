"""Delivers alerts within seconds. The watcher in the triggerer starts it whenever an alert is due.

Keep this DAG unpaused: while it is paused, no watcher runs in the triggerer. `airflow jobmon listen` does the same as a
process of its own; both can run at once.
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
