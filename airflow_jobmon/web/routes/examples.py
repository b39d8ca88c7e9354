"""The examples in OpenAPI: a daily job that failed on its second day and did not run on its fifth.

The examples are what the routes would return for this log: their numbers add up.
"""

from __future__ import annotations

from typing import Any

NAME = "update-installment-statuses"
"""Registered with the schedule `0 7 * * *` and an hour of grace."""

CHECKED_AT = "2025-11-14T09:12:00Z"


def _run(run_id: str, day: int, seconds: int, records: int | None = None, error: str | None = None) -> dict[str, Any]:
    return {
        "id": run_id,
        "started_at": f"2025-11-{day}T07:00:02Z",
        "completed_at": f"2025-11-{day}T07:00:{2 + seconds:02}Z",
        "duration_seconds": float(seconds),
        "status": "failed" if error else "success",
        "records_updated": records,
        "error_message": error,
    }


def _day(run: dict[str, Any]) -> dict[str, Any]:
    """The counts of a day with one run."""
    succeeded = run["status"] == "success"
    return {
        "date": run["started_at"][:10],
        "total_runs": 1,
        "successful_runs": int(succeeded),
        "failed_runs": int(not succeeded),
        "success_rate": 100.0 if succeeded else 0.0,
        "avg_duration_seconds": run["duration_seconds"] if succeeded else None,
        "max_duration_seconds": run["duration_seconds"] if succeeded else None,
        "records_updated": run["records_updated"],
    }


_OLDEST_FIRST = [
    _run("9b2f61c4-03de-4a58-8f0e-5d1b6a7c2e10", 10, 10, 38),
    _run("c07d8a35-6e1f-4b92-a4d3-18f95e60b7a2", 11, 30, error="deadlock detected"),
    _run("51e3c9f8-d24a-47b6-9c15-e08a7b3f6d41", 12, 11, 40),
    _run("8f0c2b1e-5a7d-4a90-9a5e-0d7f2f1f6c11", 13, 12, 41),
]
RUNS = _OLDEST_FIRST[::-1]

FINDING: dict[str, Any] = {
    "kind": "missed",
    "severity": "critical",
    "message": "no run for 26.2 hours; one was expected at 2025-11-14T07:00:00Z and due by 2025-11-14T08:00:00Z",
    "observed": 94318.0,
    "threshold": 89998.0,
}
JOB: dict[str, Any] = {
    "job_name": NAME,
    "status": "critical",
    "last_run": RUNS[0],
    "hours_since_last_run": 26.2,
    "next_due_at": "2025-11-14T08:00:00Z",
    "consecutive_failures": 0,
    "success_rate": 75.0,
    "findings": [FINDING],
}
HEALTH: dict[str, Any] = {"status": "critical", "checked_at": CHECKED_AT, "jobs": [JOB]}
GOOD_HEALTH: dict[str, Any] = {
    "status": "ok",
    "checked_at": "2025-11-13T07:12:00Z",
    "jobs": [{**JOB, "status": "ok", "hours_since_last_run": 0.2, "findings": []}],
}
"""The morning before."""

SUMMARY: dict[str, Any] = {
    "total_runs": 4,
    "successful_runs": 3,
    "failed_runs": 1,
    "success_rate": 75.0,
    "avg_duration_seconds": 11.0,
    "p50_duration_seconds": 11.0,
    "p95_duration_seconds": 11.9,
    "max_duration_seconds": 12.0,
    "total_records_updated": 119,
}
DAYS = [_day(run) for run in _OLDEST_FIRST]
METRICS: dict[str, Any] = {
    "job_name": NAME,
    "window_days": 30,
    "generated_at": CHECKED_AT,
    "health": JOB,
    "summary": SUMMARY,
    "daily": DAYS,
    "recent_runs": RUNS,
    "recent_failures": [run for run in RUNS if run["status"] == "failed"],
}

UNKNOWN_JOB = {
    "detail": "job 'update-instalment-statuses' is neither registered nor in public.jobs_log; "
    "list the names with: airflow jobmon check"
}
NO_TOKEN = {"detail": "Not authenticated"}
WRONG_TOKEN = {"detail": "Forbidden"}
UNAVAILABLE = {"detail": "the job log's database does not respond; the connection is retried in the background"}
REFUSED = {"detail": "the job log's database refused the query (SQLSTATE 42501); the API server's log has the details"}
WRONG_PARAMETER: dict[str, Any] = {
    "type": "less_than_equal",
    "loc": ["query", "days"],
    "msg": "Input should be less than or equal to 400",
    "input": "401",
    "ctx": {"le": 400},
}

EXPOSITION = f"""\
# HELP jobmon_job_health Health of the job: 0 ok, 1 unknown, 2 warning, 3 critical.
# TYPE jobmon_job_health gauge
jobmon_job_health{{job_name="{NAME}"}} 3.0
# HELP jobmon_job_success_ratio Share of finished runs that succeeded in the job's window.
# TYPE jobmon_job_success_ratio gauge
jobmon_job_success_ratio{{job_name="{NAME}"}} 0.75
"""
OPENMETRICS_EXPOSITION = (
    EXPOSITION.replace(
        "# TYPE jobmon_job_success_ratio gauge\n",
        "# TYPE jobmon_job_success_ratio gauge\n# UNIT jobmon_job_success_ratio ratio\n",
    )
    + "# EOF\n"
)

ANSWERS: dict[str, Any] = {
    "ok": GOOD_HEALTH,
    "critical": HEALTH,
    "metrics": METRICS,
    "prometheus": EXPOSITION,
    "openmetrics": OPENMETRICS_EXPOSITION,
    "unknown-job": UNKNOWN_JOB,
    "no-token": NO_TOKEN,
    "wrong-token": WRONG_TOKEN,
    "wrong-parameter": {"detail": [WRONG_PARAMETER]},
    "away": UNAVAILABLE,
    "refused": REFUSED,
}
"""By their names in the OpenAPI document."""
