"""How clock changes in a job's zone affect its schedule, so that a team reads about it beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron import Cron, read_cron
from airflow_jobmon.core.schedule.zones import periods_after_changes

_LISTED = 3
"""More times than this are given as a count, the first and the last."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One clock change that affects a job's schedule.

    at: when, in UTC; the clocks would have shown `shown` and show `set_to` instead (wall times, naive).
    times: the job's times that the clocks skip (`forward`) or show twice, in order, never empty.
    caught_up: each of them still runs once: skipped times together at `set_to`, repeated times the first time.
    If false, the job follows the clock: skipped times do not run, repeated times run twice.
    also: a run scheduled at `set_to` itself is merged with those caught up then.
    """

    job_name: str
    zone: str
    at: datetime
    shown: datetime
    set_to: datetime
    times: tuple[datetime, ...]
    caught_up: bool
    also: bool

    @property
    def forward(self) -> bool:
        return self.set_to > self.shown

    @property
    def more_runs(self) -> int:
        """How many more runs there are than on other days; negative if there are fewer."""
        if not self.caught_up:
            return -len(self.times) if self.forward else len(self.times)
        return 1 - len(self.times) - self.also if self.forward else 0

    @property
    def sentence(self) -> str:
        """The change in one line, without the job's name."""
        way = "forward" if self.forward else "back"
        return (
            f"on {self.shown:%Y-%m-%d} in {self.zone} clocks go {way} from {self.shown:%H:%M} to "
            f"{self._wall(self.set_to)}; this job's {self._outcome()}"
        )

    def _outcome(self) -> str:
        times = [*self.times, self.set_to] if self.also else list(self.times)
        several = len(times) > 1
        if self.caught_up and self.forward:
            start = "become one run at" if several else "starts at"
            return f"{self._runs(times)} {start} {self._wall(self.set_to)} that day"
        if self.caught_up:
            return f"{self._runs(times)} {'start only once each' if several else 'starts only once'}, the first time"
        if self.forward:
            return f"{self._runs(times)} {'are' if several else 'is'} skipped"
        return f"{self._runs(times)} {'start' if several else 'starts'} twice"

    def _runs(self, times: list[datetime]) -> str:
        walls = [self._wall(time) for time in times]
        if len(walls) == 1:
            return f"{walls[0]} run"
        if len(walls) <= _LISTED:
            return f"{', '.join(walls[:-1])} and {walls[-1]} runs"
        return f"{len(walls)} runs from {walls[0]} to {walls[-1]}"

    def _wall(self, wall: datetime) -> str:
        return f"{wall:%H:%M}" if wall.date() == self.shown.date() else f"{wall:%H:%M} of {wall:%Y-%m-%d}"


def clock_changes(job: MonitoredJob, start: datetime, end: datetime) -> list[ClockChange]:
    """The clock changes from `start` until before `end` that affect the schedule of `job`, in order.

    There are none for a job without a schedule, or if none of its times is skipped or repeated.
    """
    if job.schedule is None:
        return []
    cron = read_cron(job.schedule)
    found = []
    for period in periods_after_changes(job.timezone, start.astimezone(UTC), end.astimezone(UTC)):
        shown, set_to = period.reached, period.wall(period.start)
        times = tuple(_between(cron, *sorted((shown, set_to))))
        if times:
            also = cron.fixed and shown < set_to and cron.first_at_or_after(set_to) == set_to
            found.append(
                ClockChange(job.name, job.timezone, period.start, shown, set_to, times, caught_up=cron.fixed, also=also)
            )
    return found


def _between(cron: Cron, low: datetime, high: datetime) -> Iterator[datetime]:
    """The times it names from `low` until before `high`."""
    time = cron.first_at_or_after(low)
    while time < high:
        yield time
        time = cron.first_at_or_after(time.replace(microsecond=1))
