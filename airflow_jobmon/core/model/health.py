"""Findings and health, and the facts they are evaluated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.schedule.learned import LearnedSchedule
from airflow_jobmon.core.times import iso, parse_moment


class Health(StrEnum):
    """From best to worst; `unknown` is worse than ok, since it may hide a fault, and better than a known fault."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {health: rank for rank, health in enumerate(Health)}
"""Precomputed, since each check compares ten thousand jobs."""


class Kind(StrEnum):
    """What can be wrong with a job."""

    FAILED = "failed"
    MISSED = "missed"
    STUCK = "stuck"
    LATE = "late"
    SLOW = "slow"
    LOW_SUCCESS_RATE = "low_success_rate"
    RISING_DURATION = "rising_duration"
    FALLING_SUCCESS_RATE = "falling_success_rate"
    ZERO_RECORDS = "zero_records"
    FALLING_RECORDS = "falling_records"
    UNKNOWN_STATUS = "unknown_status"


ALERTING = (Kind.FAILED, Kind.MISSED, Kind.STUCK, Kind.SLOW, Kind.LOW_SUCCESS_RATE)
"""The kinds that open incidents and alert; the others are only shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a job now.

    `observed` and `threshold` are in seconds for missed, late, stuck, slow and rising_duration, in percent for
    low_success_rate and falling_success_rate, records a day for falling_records, days in a row for zero_records, and a
    count of failures in a row for failed. `since` is when it became true, `evidence_at` when its newest
    evidence did (for a third failure in a row, the end of the third run). `alerts` is false where it is only shown.
    """

    kind: Kind
    severity: Health
    message: str
    observed: Any
    threshold: Any
    since: datetime
    evidence_at: datetime
    alerts: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "message": self.message,
            "observed": self.observed,
            "threshold": self.threshold,
        }

    def as_stored(self) -> dict[str, Any]:
        """All fields, as `from_stored` reads them."""
        more = {"since": iso(self.since), "evidence_at": iso(self.evidence_at), "alerts": self.alerts}
        return {**self.as_json(), **more}

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> Finding:
        return cls(
            kind=Kind(stored["kind"]),
            severity=Health(stored["severity"]),
            message=stored["message"],
            observed=stored["observed"],
            threshold=stored["threshold"],
            since=parse_moment(stored["since"]),
            evidence_at=parse_moment(stored["evidence_at"]),
            alerts=stored["alerts"],
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Finished runs of the last `days` days, without drills."""

    days: int
    finished: int
    succeeded: int

    @property
    def success_rate(self) -> float | None:
        """Percent; None without a finished run."""
        return 100.0 * self.succeeded / self.finished if self.finished else None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the log shows of one job, without its drills.

    registered_at: when the job was registered, or first seen.
    newest: the newest started run, running or not.
    last_finished, last_success: the newest by (started_at, completed_at).
    failed_in_a_row: finished runs that failed since the last success; failing_since: the end of the first of them.
    longest_success: the longest recent success; only read while a run of an unregistered job is running.
    learned_schedule: what its starts show, for an unregistered job.
    window: None where it was not counted.
    trends: findings about rising durations and the like, stored earlier.
    scheduled_since: when its schedule last changed in the registry, or it was last enabled again; None: never.
    first_start_after_due: when the first run after the stored deadline started; None if no run has started after it.
    newest_run: an opaque key of the newest runs, which shows later whether these are still the newest.
    """

    job_name: str
    registered_at: datetime
    newest: Run | None = None
    last_finished: Run | None = None
    last_success: Run | None = None
    failed_in_a_row: int = 0
    failing_since: datetime | None = None
    longest_success: timedelta | None = None
    learned_schedule: LearnedSchedule | None = None
    window: Window | None = None
    trends: tuple[Finding, ...] = ()
    scheduled_since: datetime | None = None
    first_start_after_due: datetime | None = None
    newest_run: str = ""


@dataclass(frozen=True, slots=True)
class JobHealth:
    """The health of one job at one moment.

    next_due_at: the moment after which its next run is missed; None where it cannot be calculated. next_evaluation_at:
    the next moment at which time alone could change the health.
    """

    job_name: str
    status: Health
    findings: tuple[Finding, ...]
    last_run: Run | None
    hours_since_last_run: float | None
    next_due_at: datetime | None
    consecutive_failures: int
    success_rate: float | None
    next_evaluation_at: datetime | None = None

    def finding(self, kind: Kind) -> Finding | None:
        return next((found for found in self.findings if found.kind is kind), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "job_name": self.job_name,
            "status": self.status.value,
            "last_run": self.last_run.as_json() if self.last_run else None,
            "hours_since_last_run": self.hours_since_last_run,
            "next_due_at": iso(self.next_due_at),
            "consecutive_failures": self.consecutive_failures,
            "success_rate": self.success_rate,
            "findings": [found.as_json() for found in self.findings],
        }


def worst(healths: Sequence[Health]) -> Health:
    """The worst of several; `unknown` for none at all, since nothing was evaluated."""
    return max(healths, key=lambda health: health.rank, default=Health.UNKNOWN)


def health_report(jobs: Sequence[JobHealth], checked_at: datetime) -> dict[str, Any]:
    """The health that operator, API and command line show: all jobs, worst first, then by name."""
    ordered = sorted(jobs, key=lambda job: (-job.status.rank, job.job_name))
    return {
        "status": worst([job.status for job in jobs]).value,
        "checked_at": iso(checked_at),
        "jobs": [job.as_json() for job in ordered],
    }
