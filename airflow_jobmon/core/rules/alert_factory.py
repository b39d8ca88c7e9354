"""Builds alerts: of an incident, of a drill, or of a channel that refuses for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Finding, Health, JobFacts, Kind
from airflow_jobmon.core.model.incidents import OpenIncident
from airflow_jobmon.core.model.runbook import runbook_section
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.times import roughly, to_the_second

Fact = tuple[str, str]


def job_page(base_url: str | None, job_name: str) -> str | None:
    """The job's own page in Airflow; None where Airflow's address is not configured."""
    return f"{base_url}/jobmon/?job_name={quote(job_name, safe='')}" if base_url else None


def finding_alert(finding: Finding, facts: JobFacts, job: MonitoredJob, base_url: str | None) -> Alert:
    """An incident that opens."""
    failed = finding.kind is Kind.FAILED
    run = {Kind.FAILED: facts.last_finished, Kind.SLOW: facts.last_success}.get(finding.kind, facts.newest)
    return Alert(
        event=AlertEvent.OPENED,
        kind=finding.kind.value,
        job_name=job.name,
        severity=finding.severity,
        at=finding.evidence_at,
        message=finding.message,
        error=facts.last_finished.error_message if failed and facts.last_finished else None,
        facts=tuple(_facts(run, facts, job)),
        logs_url=job.logs_url or job_page(base_url, job.name),
        runbook_url=job.runbook_url or runbook_section(base_url, finding.kind),
    )


def repeated_alert(opened: Alert, opened_at: datetime, now: datetime) -> Alert:
    """The same incident, still open; dated now, since only the repetition is new."""
    message = f"still open since {to_the_second(opened_at)}: {opened.message}"
    return replace(opened, event=AlertEvent.REPEATED, at=now, message=message)


def unsilenced_alert(opened: Alert, opened_at: datetime) -> Alert:
    """An incident that opened during a silence that has ended."""
    return replace(opened, message=f"open since {to_the_second(opened_at)}, silenced until now: {opened.message}")


def resolved_alert(
    incident: OpenIncident, resolved_at: datetime, facts: JobFacts, job: MonitoredJob, base_url: str | None
) -> Alert:
    """An incident that ended, and how long it lasted."""
    opened_at = incident.opened_at
    lasted = max(resolved_at - opened_at, timedelta(0))
    return Alert(
        event=AlertEvent.RESOLVED,
        kind=incident.kind,
        job_name=job.name,
        severity=Health.OK,
        at=resolved_at,
        message=f"it lasted {roughly(lasted)}, from {to_the_second(opened_at)} to {to_the_second(resolved_at)}",
        facts=(("Lasted", roughly(lasted)), *_facts(facts.newest, facts, job)),
        logs_url=job.logs_url or job_page(base_url, job.name),
        runbook_url=job.runbook_url or runbook_section(base_url, incident.kind),
    )


def recovered_alert(failed: Run, success: Run, job: MonitoredJob, base_url: str | None) -> Alert:
    """A failure that recovered before it was evaluated, by a later success."""
    ended, recovered_at = failed.completed_at or failed.started_at, success.completed_at or success.started_at
    return Alert(
        event=AlertEvent.OPENED,
        kind=Kind.FAILED.value,
        job_name=job.name,
        severity=Health.CRITICAL,
        at=ended,
        message=f"run of {to_the_second(failed.started_at)} failed and recovered: "
        f"the run of {to_the_second(success.started_at)} succeeded {roughly(recovered_at - ended)} later",
        error=failed.error_message,
        facts=(("Failed", to_the_second(ended)), ("Recovered", to_the_second(recovered_at))),
        logs_url=job.logs_url or job_page(base_url, job.name),
        runbook_url=job.runbook_url or runbook_section(base_url, Kind.FAILED),
        recovered=True,
    )


def drill_alert(run: Run, job: MonitoredJob, base_url: str | None) -> Alert:
    """A simulated failure: sent like a real one, marked as a test, and not counted."""
    return Alert(
        event=AlertEvent.TEST,
        kind=Kind.FAILED.value,
        job_name=run.job_name,
        severity=Health.CRITICAL,
        at=run.completed_at or run.started_at,
        message="a simulated failure to verify that alerts arrive; nothing is wrong with the job",
        error=run.error_message,
        logs_url=job.logs_url or job_page(base_url, run.job_name),
        runbook_url=job.runbook_url or runbook_section(base_url, Kind.FAILED),
    )


def undelivered_alert(channel: str, error: str, job_name: str, at: datetime) -> Alert:
    """A channel that refuses alerts for good; sent on the other channels."""
    return Alert(
        event=AlertEvent.OPENED,
        kind="undelivered",
        job_name=job_name,
        severity=Health.CRITICAL,
        at=at,
        message=f"channel {channel} refused an alert about {job_name} for good; "
        "fix the channel, then run: airflow jobmon alerts --retry",
        error=error,
        facts=(("Channel", channel),),
    )


def _facts(run: Run | None, facts: JobFacts, job: MonitoredJob) -> Iterator[Fact]:
    if run is not None:
        yield "Run", run.id
        yield "Started", to_the_second(run.started_at)
        if run.duration_seconds is not None:
            yield "Duration", roughly(timedelta(seconds=run.duration_seconds))
        if run.records_updated is not None:
            yield "Records updated", str(run.records_updated)
    if facts.failed_in_a_row > 1:
        yield "Failures in a row", str(facts.failed_in_a_row)
    if job.schedule is not None:
        yield "Schedule", f"{job.schedule} {job.timezone}"
    if job.owner:
        yield "Owner", job.owner
