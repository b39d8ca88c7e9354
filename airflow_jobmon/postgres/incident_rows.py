"""What a judge writes, as rows for its statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.health import Kind
from airflow_jobmon.core.model.incidents import State, fingerprint
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.rules.incident_changes import Outcome, Ruling
from airflow_jobmon.core.times import iso

Row = dict[str, Any]


def opening_row(incident_id: int, job: MonitoredJob, outcome: Outcome) -> Row:
    finding, alert = outcome.finding, outcome.alert
    return {
        "id": incident_id,
        "job_name": job.name,
        "kind": outcome.kind,
        "severity": finding.severity.value if finding else "critical",
        "opened_at": iso(outcome.opened_at),
        "resolved_at": iso(outcome.resolved_at),
        "occurrences": max(len(outcome.failures), _failures_so_far(job, outcome), 1),
        "message": finding.message if finding else alert.message if alert else "",
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": _newest_error(outcome),
        "error_texts": _texts_told(outcome),
        "told": outcome.tells,
        "silenced": outcome.becomes is State.SILENCED,
    }


def update_row(outcome: Outcome) -> Row:
    finding, incident = outcome.finding, outcome.incident
    before = incident.state if incident else State.NONE
    return {
        "id": incident.id if incident else None,
        "severity": finding.severity.value if finding else None,
        "new_occurrences": len(outcome.failures),
        "message": finding.message if finding else None,
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": _newest_error(outcome),
        "new_texts": _texts_told(outcome),
        "told": outcome.tells,
        "silenced": outcome.becomes is State.SILENCED and before is not State.SILENCED,
    }


def resolution_row(incident_id: int, resolved_at: datetime | None) -> Row:
    return {"id": incident_id, "resolved_at": iso(resolved_at)}


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


def verdict_row(ruling: Ruling, *, window_counted: bool) -> Row:
    health, window = ruling.health, ruling.facts.window if window_counted else None
    return {
        "job_name": health.job_name,
        "health": health.status.value,
        "verdict": health.as_json(),
        "due_at": iso(health.next_due_at),
        "judge_at": iso(ruling.judge_at),
        "newest_run": ruling.facts.newest_run,
        "window_finished": window.finished if window else None,
        "window_succeeded": window.succeeded if window else None,
        "last_success_at": iso(success.started_at) if (success := ruling.facts.last_success) else None,
    }


def _newest_error(outcome: Outcome) -> str | None:
    """Of the newest failure; a run that failed again because its cure was deleted was counted before."""
    if outcome.failures:
        return outcome.failures[-1].error_message
    return outcome.alert.error if outcome.alert else None


def _texts_told(outcome: Outcome) -> list[str]:
    """What is new no more; an error that was held back still is."""
    if outcome.alert is None or not outcome.tells or outcome.kind != Kind.FAILED:
        return []
    errors = [outcome.alert.error, *(run.error_message for run in outcome.failures)]
    return sorted({fingerprint(error) for error in errors})


def _failures_so_far(job: MonitoredJob, outcome: Outcome) -> int:
    """Those that were needed to open it were counted before it was."""
    finding = outcome.finding
    return int(finding.observed) if finding and finding.kind is Kind.FAILED and job.failures_to_alert > 1 else 0
