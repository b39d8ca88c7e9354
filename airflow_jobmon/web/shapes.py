"""The JSON that the data routes answer with, as types: what OpenAPI shows, with examples."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["ok", "unknown", "warning", "critical"]

NO_NUL = r"^[^\x00]+$"
"""What a job name may be made of: Postgres holds every other character."""

_RUN: dict[str, Any] = {
    "id": "8f0c2b1e-5a7d-4a90-9a5e-0d7f2f1f6c11",
    "started_at": "2025-11-13T07:00:02Z",
    "completed_at": "2025-11-13T07:00:14Z",
    "duration_seconds": 12.0,
    "status": "success",
    "records_updated": 41,
    "error_message": None,
}
_JOB: dict[str, Any] = {
    "job_name": "update-installment-statuses",
    "status": "critical",
    "last_run": _RUN,
    "hours_since_last_run": 26.2,
    "next_due_at": "2025-11-14T08:00:00Z",
    "consecutive_failures": 0,
    "success_rate": 96.7,
    "findings": [
        {
            "kind": "missed",
            "severity": "critical",
            "message": "no run for 26.2 hours; one was expected at 2025-11-14T07:00:00Z",
            "observed": 94320.0,
            "threshold": 90000.0,
        }
    ],
}


class Run(BaseModel):
    """One row of the job log; times in UTC, duration in seconds."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN]})

    id: str
    started_at: datetime
    completed_at: datetime | None
    duration_seconds: float | None
    status: str = Field(description="running, success, failed, or the log's own word where nothing maps it")
    records_updated: int | None
    error_message: str | None


class Finding(BaseModel):
    """One thing wrong with a job now."""

    kind: str
    severity: Status
    message: str
    observed: Any = Field(description="what was seen, in the kind's own unit: seconds, percent, or a count")
    threshold: Any = Field(description="the bound it was held against, in the same unit")


class JobHealth(BaseModel):
    """The verdict on one job."""

    model_config = ConfigDict(json_schema_extra={"examples": [_JOB]})

    job_name: str
    status: Status
    last_run: Run | None
    hours_since_last_run: float | None
    next_due_at: datetime | None = Field(description="past this, its next run is missed")
    consecutive_failures: int
    success_rate: float | None = Field(description="percent of finished runs in the job's window")
    findings: list[Finding]


class HealthReport(BaseModel):
    """All jobs, or the one asked for, worst first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "critical", "checked_at": "2025-11-14T09:12:00Z", "jobs": [_JOB]}]}
    )

    status: Status
    checked_at: datetime
    jobs: list[JobHealth]


class Summary(BaseModel):
    """The window in figures; durations (seconds) and records are those of successes."""

    total_runs: int
    successful_runs: int
    failed_runs: int
    success_rate: float | None = Field(description="percent of finished runs")
    avg_duration_seconds: float | None
    p50_duration_seconds: float | None
    p95_duration_seconds: float | None
    max_duration_seconds: float | None
    total_records_updated: int


class Day(BaseModel):
    """One UTC day on which runs started; the first and the last are cut where the window ends, so that days add up."""

    date: date
    total_runs: int
    successful_runs: int
    failed_runs: int
    success_rate: float | None
    avg_duration_seconds: float | None
    max_duration_seconds: float | None
    records_updated: int | None


class Metrics(BaseModel):
    """One job's figures for dashboards."""

    job_name: str
    window_days: int
    generated_at: datetime
    health: JobHealth | None = Field(description="null for a job that is disabled in the registry")
    summary: Summary
    daily: list[Day] = Field(description="oldest first; a day without a run is not listed")
    recent_runs: list[Run] = Field(description="the ten newest, newest first")
    recent_failures: list[Run] = Field(description="of the last seven days, newest first, at most 100")


class Problem(BaseModel):
    """Why it could not be answered, in a sentence."""

    detail: str
