"""The JSON of the data routes as types, which OpenAPI shows with examples."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from airflow_jobmon.web.routes import examples

Status = Literal["ok", "unknown", "warning", "critical"]
FindingKind = Literal[
    "failed",
    "missed",
    "stuck",
    "late",
    "slow",
    "low_success_rate",
    "rising_duration",
    "falling_success_rate",
    "zero_records",
    "falling_records",
    "unknown_status",
]

NO_NUL = r"^[^\x00]+$"
"""A job name: any text without a NUL character, which Postgres cannot store."""


class Run(BaseModel):
    """One row of the job log; times in UTC, duration in seconds."""

    id: str
    started_at: datetime
    completed_at: datetime | None
    duration_seconds: float | None
    status: str = Field(description="running, success, failed, or the log's own word if it is not mapped")
    records_updated: int | None
    error_message: str | None


class Finding(BaseModel):
    """One thing wrong with a job now."""

    kind: FindingKind
    severity: Status
    message: str
    observed: float | str | None = Field(
        description="the observed value in the kind's unit: seconds, percent, or a count; for unknown_status, the word"
    )
    threshold: float | None = Field(description="the limit, in the same unit")


class JobHealth(BaseModel):
    """The health of one job."""

    job_name: str
    status: Status
    last_run: Run | None
    hours_since_last_run: float | None
    next_due_at: datetime | None = Field(description="after this, the next run is missed")
    consecutive_failures: int
    success_rate: float | None = Field(description="percent of finished runs in the job's window")
    findings: list[Finding]


class HealthReport(BaseModel):
    """All jobs, or the requested one, worst first."""

    status: Status
    checked_at: datetime
    jobs: list[JobHealth]


class Summary(BaseModel):
    """Totals of the window; durations (seconds) and records count successes only."""

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
    """One UTC day with runs; the first and last are cut at the window's ends, so that the days add up."""

    date: date
    total_runs: int
    successful_runs: int
    failed_runs: int
    success_rate: float | None
    avg_duration_seconds: float | None
    max_duration_seconds: float | None
    records_updated: int | None


class Metrics(BaseModel):
    """One job's metrics for dashboards."""

    job_name: str
    window_days: int
    generated_at: datetime
    health: JobHealth | None = Field(description="null for a job that is disabled in the registry")
    summary: Summary
    daily: list[Day] = Field(description="oldest first; a day without a run is not listed")
    recent_runs: list[Run] = Field(description="the ten newest, newest first")
    recent_failures: list[Run] = Field(description="of the last seven days, newest first, at most 100")


class Problem(BaseModel):
    """Why the request failed, in a sentence."""

    detail: str


class WrongParameter(BaseModel):
    """One invalid parameter and the reason."""

    type: str
    loc: list[str | int] = Field(description="the path to the parameter, outermost first")
    msg: str
    input: Any = Field(None, description="the value sent")
    ctx: dict[str, Any] | None = Field(None, description="the limits, if any")


class WrongParameters(BaseModel):
    """Every invalid parameter."""

    detail: list[WrongParameter]


SHAPES: dict[type[BaseModel], list[dict[str, Any]]] = {
    Run: examples.RUNS[1:3],
    Finding: [examples.FINDING],
    JobHealth: [examples.JOB],
    HealthReport: [examples.HEALTH],
    Summary: [examples.SUMMARY],
    Day: examples.DAYS[:2],
    Metrics: [examples.METRICS],
    Problem: [examples.UNKNOWN_JOB],
    WrongParameter: [examples.WRONG_PARAMETER],
    WrongParameters: [{"detail": [examples.WRONG_PARAMETER]}],
}
"""Each type with its examples."""
