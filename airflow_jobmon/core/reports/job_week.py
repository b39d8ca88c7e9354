"""One job's week, the week before, and the alerts of the week: what the weekly review is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import JobHealth


@dataclass(frozen=True, slots=True)
class Span:
    """A job's runs over some days, without drills. Durations (seconds) and records are those of successful runs."""

    finished: int = 0
    succeeded: int = 0
    avg_duration: float | None = None
    p95_duration: float | None = None
    max_duration: float | None = None
    records: int | None = None

    @property
    def success_rate(self) -> float | None:
        """Percent; None without a finished run."""
        return 100.0 * self.succeeded / self.finished if self.finished else None


@dataclass(frozen=True, slots=True)
class JobWeek:
    """One job's last seven days, the seven before, and each of the last seven, oldest first (24 hours each)."""

    job: MonitoredJob
    health: JobHealth
    week: Span
    before: Span
    days: Sequence[Span]

    @property
    def rank(self) -> int:
        """0: below the minimum, 1: below the target, 2: no runs, 3: target met."""
        rate = self.week.success_rate
        if rate is None:
            return 2
        return 0 if rate < self.job.min_success_rate else 1 if rate < self.job.target_success_rate else 3

    @property
    def standing(self) -> str:
        """The rank in words."""
        return {
            0: f"below {self.job.min_success_rate:g} %",
            1: f"below {self.job.target_success_rate:g} %",
            2: "no run",
            3: "ok",
        }[self.rank]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The week's deliveries on one channel. p95_seconds: from an alert's creation to its acceptance."""

    channel: str
    sent: int
    dead: int
    p95_seconds: float | None
