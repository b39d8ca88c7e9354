"""The registry entry, under the name that DAG files import."""

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob

__all__ = ["MonitoredJob"]
