"""What Airflow's plugin discovery reads."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class JobmonPlugin(AirflowPlugin):
    name = "jobmon"
