"""What the clock changes of a job's zone do to its schedule, so that a team may read of it before it wonders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron import Cron, read_cron
from airflow_jobmon.core.schedule.zones import periods_after_changes

_LISTED = 3
"""More times than these are told by their number, the first and the last."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One change of the clocks that touches a job's schedule.

    at: when, in UTC; the clocks would have shown `shown` and show `set_to` instead (wall times, naive).
    times: the job's times of that night that the clocks leave out (`forward`) or show twice, in order, never empty.
    caught_up: each of them runs once all the same: those left out together at `set_to`, the others the first time.
    Where it is false, the job goes by the clock: times left out do not run, times shown twice run twice.
    also: a run of its own time at `set_to` is one with those caught up then.
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
        """How many more runs there are than on other days; negative for fewer."""
        if not self.caught_up:
            return -len(self.times) if self.forward else len(self.times)
        return 1 - len(self.times) - self.also if self.forward else 0

    @property
    def sentence(self) -> str:
        """For people, in one line, without the job's name."""
        way = "forward" if self.forward else "back"
        return (
            f"on {self.shown:%Y-%m-%d} in {self.zone} clocks go {way} from {self.shown:%H:%M} to "
            f"{self._told(self.set_to)}; this job's {self._outcome()}"
        )

    def _outcome(self) -> str:
        times = [*self.times, self.set_to] if self.also else list(self.times)
        several = len(times) > 1
        if self.caught_up and self.forward:
            return f"{self._runs(times)} {'are one, at' if several else 'starts at'} {self._told(self.set_to)} that day"
        if self.caught_up:
            return f"{self._runs(times)} {'start once each' if several else 'starts once'}, the first of the two times"
        if self.forward:
            return f"{self._runs(times)} {'are' if several else 'is'} left out"
        return f"{self._runs(times)} {'come' if several else 'comes'} twice"

    def _runs(self, times: list[datetime]) -> str:
        told = [self._told(time) for time in times]
        if len(told) == 1:
            return f"{told[0]} run"
        if len(told) <= _LISTED:
            return f"{', '.join(told[:-1])} and {told[-1]} runs"
        return f"{len(told)} runs from {told[0]} to {told[-1]}"

    def _told(self, wall: datetime) -> str:
        return f"{wall:%H:%M}" if wall.date() == self.shown.date() else f"{wall:%H:%M} of {wall:%Y-%m-%d}"


def clock_changes(job: MonitoredJob, start: datetime, end: datetime) -> list[ClockChange]:
    """The clock changes from `start` until before `end` that touch the schedule of `job`, in order.

    None for a job without a schedule, and for one whose times are not those that are left out or come twice.
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
