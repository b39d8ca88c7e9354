"""The registry entry, under the name that DAG files import."""

from airflow_jobmon.core.jobs import MonitoredJob

__all__ = ["MonitoredJob"]
