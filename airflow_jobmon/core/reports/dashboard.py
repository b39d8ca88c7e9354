"""What the page says at first sight: whether all is right, and the jobs in the order in which they need a person."""

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
class ChannelDelivery:
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
    deliveries: tuple[ChannelDelivery, ...] = ()

    @property
    def state(self) -> IncidentState:
        return state_of(self.told_at, self.silenced_at, self.acknowledged_at)

    @property
    def is_handled(self) -> bool:
        """Somebody knows of it, or wants to hear nothing of it for now."""
        return self.state in {IncidentState.ACKNOWLEDGED, IncidentState.SILENCED}


@dataclass(frozen=True, slots=True)
class WatcherStatus:
    """Who watches: live watchers, the last sign of life of any, and when a verdict was last stored."""

    watchers: int
    seen_at: datetime | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job's line. `problem` is its worst finding, `more` how many others there are; `calm`: known to somebody."""

    name: str
    health: Health
    problem: str | None
    more: int
    last_started_at: datetime | None
    last_status: str | None
    next_due_at: datetime | None
    success_rate: float | None
    calm: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence, how it is meant (the health whose colour it takes), and what to know or to do next."""

    tone: Health
    text: str
    detail: str = ""


def job_lines(verdicts: Sequence[Mapping[str, Any]], known: Collection[str]) -> list[JobLine]:
    """The jobs in the order in which they need a person: the worst first, and of these what nobody knows of yet.

    verdicts: entries of the shape of health. known: names whose open incidents are all acknowledged or silenced.
    """
    lines = [_line(verdict, known) for verdict in verdicts]
    return sorted(lines, key=lambda line: (-line.health.rank, line.calm, line.name))


def _line(verdict: Mapping[str, Any], known: Collection[str]) -> JobLine:
    findings = sorted(verdict["findings"], key=lambda found: -Health(found["severity"]).rank)
    last, due = verdict["last_run"] or {}, verdict["next_due_at"]
    return JobLine(
        name=verdict["job_name"],
        health=Health(verdict["status"]),
        problem=findings[0]["message"] if findings else None,
        more=max(len(findings) - 1, 0),
        last_started_at=parse_moment(last["started_at"]) if last else None,
        last_status=last.get("status"),
        next_due_at=parse_moment(due) if due else None,
        success_rate=verdict["success_rate"],
        calm=verdict["job_name"] in known,
    )


def known_jobs(open_incidents: Sequence[Incident]) -> set[str]:
    """Names of the jobs whose every open incident is acknowledged or silenced."""
    restless = {incident.job_name for incident in open_incidents if not incident.is_handled}
    return {incident.job_name for incident in open_incidents} - restless


def overall_status(lines: Sequence[JobLine], watch: WatcherStatus, *, stale: bool, now: datetime) -> Notice:
    """Is everything all right? stale: nobody has checked lately, so that nothing can be told."""
    if not lines:
        return Notice(
            Health.UNKNOWN,
            "No job is known yet",
            "A job appears when it logs its first run and a watcher or the hourly check sees it, or when it is "
            "registered: airflow jobmon jobs apply FILE",
        )
    if stale:
        since = f"for {roughly(now - watch.checked_at)}" if watch.checked_at else "yet"
        return Notice(
            Health.UNKNOWN,
            "It cannot be told how the jobs are",
            f"Nobody has checked them {since}. Unpause the DAGs jobmon_hourly_health_check and jobmon_alerts, or "
            "start: airflow jobmon listen",
        )
    counts = count_healths(lines)
    for health in (Health.CRITICAL, Health.WARNING, Health.UNKNOWN):
        if counts[health]:
            return Notice(health, _how_many(counts[health], len(lines), health), _known(lines, health))
    return Notice(Health.OK, "The one job is fine" if len(lines) == 1 else f"All {len(lines)} jobs are fine")


def count_healths(lines: Sequence[JobLine]) -> Mapping[Health, int]:
    """How many jobs are how, the worst first."""
    counted = Counter(line.health for line in lines)
    return {health: counted[health] for health in reversed(Health)}


def watcher_problem(watch: WatcherStatus, *, now: datetime) -> Notice | None:
    """None while some watcher is alive: without one, alerts wait for the hourly check."""
    if watch.watchers:
        return None
    seen = f"The last one was seen {roughly(now - watch.seen_at)} ago" if watch.seen_at else "There has never been one"
    return Notice(
        Health.WARNING,
        "No watcher is running",
        f"{seen}. Failures and missed runs are noticed by the hourly check only. Unpause the DAG jobmon_alerts, or "
        "start: airflow jobmon listen. What is wrong says: airflow jobmon doctor",
    )


def undelivered_problem(channels: Sequence[tuple[str, int, str | None]], over: timedelta) -> Notice | None:
    """channels: where alerts of the last while did not arrive, how many, and the newest error."""
    if not channels:
        return None
    told = "; ".join(f"{name}: {count} ({error or 'waiting'})" for name, count, error in channels)
    hours = over // timedelta(hours=1)
    return Notice(
        Health.CRITICAL,
        "Alerts do not arrive",
        f"Not delivered in the last {hours} hours: {told}. Once it is mended: airflow jobmon alerts --retry",
    )


def _how_many(count: int, total: int, health: Health) -> str:
    jobs = f"{count} of {total} jobs" if total > 1 else "The one job"
    be = "is" if count == 1 else "are"
    return {
        Health.CRITICAL: f"{jobs} {be} critical",
        Health.WARNING: f"{jobs} {'has' if count == 1 else 'have'} a warning",
        Health.UNKNOWN: f"{jobs} cannot be judged",
    }[health]


def _known(lines: Sequence[JobLine], health: Health) -> str:
    calm = [line.calm for line in lines if line.health is health]
    if not any(calm):
        return ""
    whose = f"{sum(calm)} of them" if not all(calm) else "All of them" if len(calm) > 1 else "It"
    return f"{whose} {'is' if sum(calm) == 1 else 'are'} acknowledged or silenced."
