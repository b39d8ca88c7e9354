"""The overview's contents: a headline, warnings, and the jobs, those that need attention first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.incidents import IncidentState, state_of
from airflow_jobmon.core.times import parse_moment, roughly


@dataclass(frozen=True, slots=True)
class LatestDelivery:
    """The newest delivery of an incident's alerts on one channel; state is pending, sent, dead or silenced."""

    channel: str
    state: str
    sent_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as people read it; resolved_at is None while it is open."""

    id: int
    job_name: str
    kind: str
    severity: Health
    opened_at: datetime
    resolved_at: datetime | None
    occurrences: int
    message: str
    error_message: str | None
    told_at: datetime | None
    silenced_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None
    notified: tuple[LatestDelivery, ...] = ()

    @property
    def state(self) -> IncidentState:
        return state_of(self.told_at, self.silenced_at, self.acknowledged_at)

    @property
    def is_handled(self) -> bool:
        """Whether it is acknowledged or silenced."""
        return self.state in {IncidentState.ACKNOWLEDGED, IncidentState.SILENCED}


@dataclass(frozen=True, slots=True)
class MonitorStatus:
    """The live watchers, the last heartbeat of any, and when health was last stored."""

    watchers: int
    seen_at: datetime | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job's row. problem: its worst finding; more: how many others it has; handled: acknowledged or silenced."""

    name: str
    health: Health
    problem: str | None
    more: int
    last_started_at: datetime | None
    last_status: str | None
    next_due_at: datetime | None
    success_rate: float | None
    handled: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence, the health that sets its colour, and what to know or to do next."""

    tone: Health
    text: str
    detail: str = ""


def job_rows(entries: Sequence[Mapping[str, Any]], known: Collection[str]) -> list[JobRow]:
    """The jobs in the order in which they need attention: the worst first, and unhandled ones before handled.

    entries: jobs in the shape of health. known: names whose open incidents are all acknowledged or silenced.
    """
    lines = [_line(entry, known) for entry in entries]
    return sorted(lines, key=lambda line: (-line.health.rank, line.handled, line.name))


def _line(entry: Mapping[str, Any], known: Collection[str]) -> JobRow:
    findings = sorted(entry["findings"], key=lambda found: -Health(found["severity"]).rank)
    last, due = entry["last_run"] or {}, entry["next_due_at"]
    return JobRow(
        name=entry["job_name"],
        health=Health(entry["status"]),
        problem=findings[0]["message"] if findings else None,
        more=max(len(findings) - 1, 0),
        last_started_at=parse_moment(last["started_at"]) if last else None,
        last_status=last.get("status"),
        next_due_at=parse_moment(due) if due else None,
        success_rate=entry["success_rate"],
        handled=entry["job_name"] in known,
    )


def handled_jobs(open_incidents: Sequence[Incident]) -> set[str]:
    """Names of the jobs whose every open incident is acknowledged or silenced."""
    unhandled = {incident.job_name for incident in open_incidents if not incident.is_handled}
    return {incident.job_name for incident in open_incidents} - unhandled


def headline(lines: Sequence[JobRow], monitor: MonitorStatus, *, stale: bool, now: datetime) -> Notice:
    """The state of all jobs in one sentence. stale: there was no recent check, so their health is unknown."""
    if not lines:
        return Notice(
            Health.UNKNOWN,
            "No jobs yet",
            "A job appears when a watcher or the hourly check sees its first run, or when you register it: "
            "airflow jobmon jobs apply FILE",
        )
    if stale:
        since = f"{roughly(now - monitor.checked_at)} ago" if monitor.checked_at else "never"
        return Notice(
            Health.UNKNOWN,
            "Job health is unknown",
            f"The last check was {since}. Unpause the DAGs jobmon_hourly_health_check and jobmon_alerts, or "
            "start: airflow jobmon listen",
        )
    counts = count_healths(lines)
    for health in (Health.CRITICAL, Health.WARNING, Health.UNKNOWN):
        if counts[health]:
            return Notice(health, _how_many(counts[health], len(lines), health), _known(lines, health))
    return Notice(Health.OK, "The job is healthy" if len(lines) == 1 else f"All {len(lines)} jobs are healthy")


def count_healths(lines: Sequence[JobRow]) -> Mapping[Health, int]:
    """The number of jobs by health, worst first."""
    counted = Counter(line.health for line in lines)
    return {health: counted[health] for health in reversed(Health)}


def watcher_warning(monitor: MonitorStatus, *, now: datetime) -> Notice | None:
    """None while a watcher is alive; without one, alerts wait for the hourly check."""
    if monitor.watchers:
        return None
    ago = f"{roughly(now - monitor.seen_at)} ago" if monitor.seen_at else "never"
    return Notice(
        Health.WARNING,
        "No watcher is running",
        f"Last heartbeat: {ago}. Only the hourly check finds failures and missed runs. Unpause the DAG "
        "jobmon_alerts, or start: airflow jobmon listen. To find the cause, run: airflow jobmon doctor",
    )


def undelivered_warning(channels: Sequence[tuple[str, int, str | None]], over: timedelta) -> Notice | None:
    """channels: name, number of alerts not delivered in the period, and newest error of each failing channel."""
    if not channels:
        return None
    failing = "; ".join(f"{name}: {count} ({error or 'waiting'})" for name, count, error in channels)
    hours = over // timedelta(hours=1)
    return Notice(
        Health.CRITICAL,
        "Alerts are not delivered",
        f"Not delivered in the last {hours} hours: {failing}. After fixing it, run: airflow jobmon alerts --retry",
    )


def _how_many(count: int, total: int, health: Health) -> str:
    jobs = f"{count} of {total} jobs" if total > 1 else "The job"
    be = "is" if count == 1 else "are"
    return {
        Health.CRITICAL: f"{jobs} {be} critical",
        Health.WARNING: f"{jobs} {'has' if count == 1 else 'have'} a warning",
        Health.UNKNOWN: f"{jobs} {be} in unknown health",
    }[health]


def _known(lines: Sequence[JobRow], health: Health) -> str:
    handled = [line.handled for line in lines if line.health is health]
    if not any(handled):
        return ""
    whose = f"{sum(handled)} of them" if not all(handled) else "All of them" if len(handled) > 1 else "It"
    return f"{whose} {'is' if sum(handled) == 1 else 'are'} acknowledged or silenced."
