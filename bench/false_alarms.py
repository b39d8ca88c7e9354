"""False alarms: ninety days of the demo's jobs, which never miss a run, replayed under three rules of what is missed.

Twice a year clocks change; the moment is chosen so that the ninety days hold a change in each of the three zones that
have one. Each run is asked when the next would have been called missed; if the next came later, that is a false alarm.
The rules are pure functions, so nothing has to wait. How late each rule would have detected that a job stopped is
measured over the same runs, since a rule that never speaks has no false alarms either.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import yaml

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job
from airflow_jobmon.core.schedule.learned import LearnedSchedule
from airflow_jobmon.core.schedule.learning import learn_schedule
from airflow_jobmon.core.times import roughly
from airflow_jobmon.postgres.connect import connect
from bench.environment import bench_environment
from bench.figures import Figure
from demo import sample

MOMENT = datetime(2025, 11, 13, 12, tzinfo=UTC)
RELEARN = timedelta(hours=12)
"""How often a schedule is learned anew, as the watcher does."""

_OURS = _CRON, _LEARN = "cron and zone", "learn"

Due = Callable[[datetime], datetime | None]
"""When the run after this one is called missed; asked of one run after the other. None: never."""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    say("loading the demo's ninety days")
    with bench_environment() as place, connect(place.create_database("sample")) as conn:
        runs = sample.create(conn, MOMENT)
        rows = conn.execute("SELECT job_name, started_at FROM public.jobs_log ORDER BY started_at").fetchall()
    starts: dict[str, list[datetime]] = {}
    for name, started_at in rows:
        starts.setdefault(name, []).append(started_at)
    jobs = _registry()
    say(f"replaying {runs} runs of {len(starts)} jobs")
    rules: dict[str, Callable[[str], Due]] = {
        "a flat 25 h": lambda _: MonitoredJob(name="any").due_after,
        _CRON: lambda name: jobs[name].due_after,
        _LEARN: lambda name: _Learner(starts[name]).due_after,
    }
    return [figure for rule, due in rules.items() for figure in _figures(rule, due, starts)]


def _figures(rule: str, due: Callable[[str], Due], starts: Mapping[str, Sequence[datetime]]) -> list[Figure]:
    alarms: dict[str, int] = {}
    late: dict[str, float] = {}
    for name, times in starts.items():
        waits = [
            (following, deadline)
            for following, deadline in map(partial(_asked, due(name)), pairwise(times))
            if deadline
        ]
        alarms[name] = sum(deadline < following for following, deadline in waits)
        late[name] = statistics.median(
            max((deadline - following).total_seconds(), 0.0) for following, deadline in waits
        )
    ours = rule in _OURS
    listed = ", ".join(f"{name} {count}" for name, count in sorted(alarms.items()) if count)
    last = max(late, key=lambda name: late[name])
    return [
        Figure(
            f"false alarms of missed runs in the demo's 90 days, by {rule}",
            "0" if ours else "reported",
            f"{sum(alarms.values())}" + (f" ({listed})" if listed else ""),
            holds=not listed if ours else None,
        ),
        Figure(
            f"a stop is detected after the run was due, by {rule}: median job, slowest job",
            "reported",
            f"{_spoken(statistics.median(late.values()))}, {_spoken(late[last])} ({last})",
        ),
    ]


def _spoken(seconds: float) -> str:
    return roughly(timedelta(seconds=round(seconds)))


def _asked(due: Due, pair: tuple[datetime, datetime]) -> tuple[datetime, datetime | None]:
    """When the next run started, and the deadline after which it would have been missed."""
    last, following = pair
    return following, due(last)


class _Learner:
    """Knows of a job's runs what had been logged when it is asked."""

    def __init__(self, starts: Sequence[datetime]) -> None:
        self._starts = starts
        self._known = 0
        self._schedule: LearnedSchedule | None = None
        self._learned_at = starts[0]
        self._due: datetime | None = None

    def due_after(self, last: datetime) -> datetime | None:
        self._known += 1
        surprised = self._due is not None and last > self._due
        if self._schedule is None or surprised or last - self._learned_at > RELEARN:
            self._schedule, self._learned_at = learn_schedule(self._starts[: self._known]), last
        self._due = self._schedule.due_after(last) if self._schedule else None
        return self._due


def _registry() -> dict[str, MonitoredJob]:
    """The file that the demo applies, and the job that the hourly DAG registers."""
    entries = yaml.safe_load((sample.SQL.parent / "jobs.yaml").read_text())["jobs"]
    jobs = [read_job(entry) for entry in entries]
    jobs.append(MonitoredJob(name=sample.INSTALLMENTS, schedule="0 2 * * *", timezone="America/New_York"))
    return {job.name: job for job in jobs}
