"""The alert of a drill that simulates no run."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Finding, JobHealth
from airflow_jobmon.core.model.runbook import runbook_section
from airflow_jobmon.core.rules.alert_factory import job_page
from airflow_jobmon.core.times import to_the_second


def missed_drill_alert(  # noqa: PLR0917 - everything the message contains
    finding: Finding, health: JobHealth, job: MonitoredJob, drill_id: UUID, now: datetime, base_url: str | None
) -> Alert:
    """Alert a missed run that was found by evaluating ahead: like a real alert, but marked as a test."""
    last = health.last_run
    facts = [("Last run", f"{to_the_second(last.started_at)}, {last.status}" if last else "none")]
    if job.schedule is not None:
        facts.append(("Schedule", f"{job.schedule} {job.timezone}"))
    return Alert(
        event=AlertEvent.TEST,
        kind=finding.kind.value,
        job_name=job.name,
        severity=finding.severity,
        at=now,
        message=f"if no run starts, this alert is sent just after the deadline: {finding.message}",
        facts=(*facts, ("Drill", str(drill_id))),
        logs_url=job.logs_url or job_page(base_url, job.name),
        runbook_url=job.runbook_url or runbook_section(base_url, finding.kind),
    )
