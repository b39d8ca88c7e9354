"""Notifiers: this package's alerts for the callbacks of any DAG, with or without a job log.

    with DAG(..., on_failure_callback=JobSlackNotifier(runbook_url="https://wiki.example.com/etl")):

Nothing is read and nothing heavy is imported until a notification is sent.
"""

from __future__ import annotations

from airflow_jobmon.notifiers.email import JobEmailNotifier
from airflow_jobmon.notifiers.job_notifier import JobNotifier
from airflow_jobmon.notifiers.resend import JobResendNotifier
from airflow_jobmon.notifiers.slack import JobSlackNotifier
from airflow_jobmon.notifiers.webhook import JobWebhookNotifier

__all__ = ["JobEmailNotifier", "JobNotifier", "JobResendNotifier", "JobSlackNotifier", "JobWebhookNotifier"]
