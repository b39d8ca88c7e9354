"""The statistics of a job's runs on one day."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple


class DayStats(NamedTuple):
    """Runs of one job that started on one UTC day, without drills.

    total_runs includes runs in progress and of an unknown status. Durations are in seconds, over the `timed_runs`:
    successes with a known end. Records are over the `records_runs`: successes that logged a count. Both are None
    where there are no such runs.
    """

    day: date
    total_runs: int
    successful_runs: int
    failed_runs: int
    timed_runs: int = 0
    duration_sum: float | None = None
    duration_median: float | None = None
    duration_p95: float | None = None
    duration_max: float | None = None
    records_runs: int = 0
    records_sum: int | None = None
    records_median: float | None = None

    @property
    def finished_runs(self) -> int:
        return self.successful_runs + self.failed_runs

    @property
    def success_rate(self) -> float | None:
        """Percent of finished runs; None without one."""
        return 100.0 * self.successful_runs / self.finished_runs if self.finished_runs else None

    @property
    def duration_mean(self) -> float | None:
        return self.duration_sum / self.timed_runs if self.duration_sum is not None else None
