"""A run: one row of the job log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_jobmon.core.times import iso

DRILL_PREFIX = "TEST ALERT"
"""A failed run whose error starts with this is an alert test: it alerts and is not counted."""

RUNNING, SUCCESS, FAILED = "running", "success", "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One row of jobs_log, its columns and status words already mapped; times are aware, in UTC.

    `status` is `running`, `success`, `failed`, or the log's own word where nothing maps it.
    """

    id: str
    job_name: str
    started_at: datetime
    completed_at: datetime | None
    status: str
    records_updated: int | None = None
    error_message: str | None = None

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from start to end; None while the end is unknown."""
        if self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    @property
    def is_drill(self) -> bool:
        return self.status == FAILED and (self.error_message or "").startswith(DRILL_PREFIX)

    def as_json(self) -> dict[str, Any]:
        """The JSON-native form that every reader of a run gets."""
        return {
            "id": self.id,
            "started_at": iso(self.started_at),
            "completed_at": iso(self.completed_at),
            "duration_seconds": self.duration_seconds,
            "status": self.status,
            "records_updated": self.records_updated,
            "error_message": self.error_message,
        }
