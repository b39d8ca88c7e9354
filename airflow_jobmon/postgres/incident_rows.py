"""What an evaluation writes, as rows for the statements in incidents.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.evaluation import Evaluation, IncidentChange
from airflow_jobmon.core.model.health import Kind
from airflow_jobmon.core.model.incidents import IncidentState, fingerprint
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.times import iso

Row = dict[str, Any]


def opening_row(incident_id: int, job: MonitoredJob, change: IncidentChange) -> Row:
    finding, alert = change.finding, change.alert
    return {
        "id": incident_id,
        "job_name": job.name,
        "kind": change.kind,
        "severity": finding.severity.value if finding else "critical",
        "opened_at": iso(change.opened_at),
        "resolved_at": iso(change.resolved_at),
        "occurrences": max(len(change.failures), _failures_so_far(job, change), 1),
        "message": finding.message if finding else alert.message if alert else "",
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": _newest_error(change),
        "error_texts": _notified_texts(change),
        "notified": change.notifies,
        "silenced": change.next_state is IncidentState.SILENCED,
    }


def update_row(change: IncidentChange) -> Row:
    finding, incident = change.finding, change.incident
    before = incident.state if incident else IncidentState.NONE
    return {
        "id": incident.id if incident else None,
        "severity": finding.severity.value if finding else None,
        "new_occurrences": len(change.failures),
        "message": finding.message if finding else None,
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": _newest_error(change),
        "new_texts": _notified_texts(change),
        "notified": change.notifies,
        "silenced": change.next_state is IncidentState.SILENCED and before is not IncidentState.SILENCED,
    }


def resolution_row(change: IncidentChange) -> Row:
    return {"id": change.incident.id if change.incident else None, "resolved_at": iso(change.resolved_at)}


def occurrence_row(run: Run, incident_id: int | None) -> Row:
    return {
        "job_name": run.job_name,
        "run_id": run.id,
        "started_at": iso(run.started_at),
        "incident_id": incident_id,
    }


def alert_row(
    n: int, alert: Alert, incident_id: int | None, channels: Sequence[str] | None, silence: Silence | None = None
) -> Row:
    return {
        "n": n,
        "incident_id": incident_id,
        "job_name": alert.job_name,
        "kind": alert.kind,
        "event": alert.event.value,
        "severity": alert.severity.value,
        "details": alert.as_json(),
        "channels": None if channels is None else list(channels),
        "silenced": None if silence is None else str(silence),
    }


def health_row(evaluation: Evaluation, *, window_counted: bool) -> Row:
    health, window = evaluation.health, evaluation.facts.window if window_counted else None
    return {
        "job_name": health.job_name,
        "health": health.status.value,
        "verdict": health.as_json(),
        "due_at": iso(health.next_due_at),
        "judge_at": iso(evaluation.next_evaluation_at),
        "newest_run": evaluation.facts.newest_run,
        "window_finished": window.finished if window else None,
        "window_succeeded": window.succeeded if window else None,
        "last_success_at": iso(success.started_at) if (success := evaluation.facts.last_success) else None,
    }


def _newest_error(change: IncidentChange) -> str | None:
    """The error of the newest failure; a run that failed again because its cure was deleted was counted before."""
    if change.failures:
        return change.failures[-1].error_message
    return change.alert.error if change.alert else None


def _notified_texts(change: IncidentChange) -> list[str]:
    """The error texts that are no longer new; one that a silence holds back still is."""
    if change.alert is None or not change.notifies or change.kind != Kind.FAILED:
        return []
    errors = [change.alert.error, *(run.error_message for run in change.failures)]
    return sorted({fingerprint(error) for error in errors})


def _failures_so_far(job: MonitoredJob, change: IncidentChange) -> int:
    """How many failures it took to open the incident; they were counted before."""
    finding = change.finding
    return int(finding.observed) if finding and finding.kind is Kind.FAILED and job.failures_to_alert > 1 else 0
