"""An alert: one message about a job, complete in itself, for any channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.times import iso, parse_moment


class AlertEvent(StrEnum):
    OPENED = "opened"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    TEST = "test"


KIND_TITLES = {
    "failed": "Job Failed",
    "missed": "Job Missed",
    "stuck": "Job Stuck",
    "slow": "Job Slow",
    "late": "Job Late",
    "low_success_rate": "Low Success Rate",
    "rising_duration": "Rising Duration",
    "falling_success_rate": "Falling Success Rate",
    "zero_records": "No Records Updated",
    "falling_records": "Falling Records",
    "undelivered": "Alert Not Delivered",
    "succeeded": "Job Succeeded",
    "retrying": "Job Retrying",
    "skipped": "Job Skipped",
    "deadline": "Deadline Missed",
}
"""Titles of the kinds.

`undelivered` is about a channel that refuses alerts for good; `succeeded` and those below it are for callbacks.
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened, to which job, and where to look; all text in it may be hostile and is escaped by each sink.

    at: when it happened (a failure's end, a missed run's deadline, a resolution's end), in UTC.
    message: one line that says what is wrong, never empty. error: the job's own error text, or None.
    facts: extra (label, value) rows, in the order to show. recovered: it was over before anyone was notified.
    """

    event: AlertEvent
    kind: str
    job_name: str
    severity: Health
    at: datetime
    message: str
    error: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    logs_url: str | None = None
    runbook_url: str | None = None
    recovered: bool = False
    id: int | None = field(default=None, compare=False)

    @property
    def kind_title(self) -> str:
        return KIND_TITLES.get(self.kind, self.kind.replace("_", " ").title())

    def as_json(self) -> dict[str, Any]:
        """As stored in alerts.details, and as the JSON webhook sends it."""
        return {
            "event": self.event.value,
            "kind": self.kind,
            "job_name": self.job_name,
            "severity": self.severity.value,
            "at": iso(self.at),
            "message": self.message,
            "error": self.error,
            "facts": [list(fact) for fact in self.facts],
            "logs_url": self.logs_url,
            "runbook_url": self.runbook_url,
            "recovered": self.recovered,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any], *, alert_id: int | None = None) -> Alert:
        return cls(
            event=AlertEvent(stored["event"]),
            kind=stored["kind"],
            job_name=stored["job_name"],
            severity=Health(stored["severity"]),
            at=parse_moment(stored["at"]),
            message=stored["message"],
            error=stored.get("error"),
            facts=tuple((label, value) for label, value in stored.get("facts", ())),
            logs_url=stored.get("logs_url"),
            runbook_url=stored.get("runbook_url"),
            recovered=stored.get("recovered", False),
            id=alert_id,
        )
