"""The morning digest: what happened in the last 24 hours and what needs attention now; one line if nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.model.alerts import KIND_TITLES
from airflow_jobmon.core.model.health import Health, JobHealth, worst
from airflow_jobmon.core.model.report import Report, Section
from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import iso, roughly, to_the_second

PERIOD = timedelta(hours=24)

_RECORDS = {"zero_records", "falling_records"}
_UNWATCHED = " No watcher is running, so alerts wait for the hourly check; to find out why: airflow jobmon doctor."
_BAD = (Health.CRITICAL, Health.UNKNOWN)


@dataclass(frozen=True, slots=True)
class FailedRuns:
    """Failed runs of one job in the period. recovered_at: when a later run succeeded, None if none did."""

    job_name: str
    count: int
    last_at: datetime
    last_error: str | None
    recovered_at: datetime | None


@dataclass(frozen=True, slots=True)
class MissedRun:
    """A run that did not start by its deadline. came_at: when one started after all, None if none did.

    over_at: since when the job is no longer missed; set even without a run if none is expected now.
    """

    job_name: str
    due_at: datetime
    came_at: datetime | None
    over_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DigestIncident:
    """An open incident. handled: who acknowledged it, or until when it is silenced, in words; else empty."""

    job_name: str
    kind: str
    severity: Health
    since: datetime
    message: str
    handled: str = ""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Alerts of the period that a channel did not accept, and its last error."""

    channel: str
    alerts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Morning:
    """Everything the digest is made from. watched: whether a watcher is running, which alerts within seconds."""

    healths: Sequence[JobHealth]
    failures: Sequence[FailedRuns] = ()
    missed: Sequence[MissedRun] = ()
    open: Sequence[DigestIncident] = ()
    undelivered: Sequence[Undelivered] = ()
    watched: bool = True


def digest(morning: Morning, *, at: datetime, page: str | None) -> Report:
    """The report of one morning; `page` is the URL of the page of all jobs, if known."""
    sections = [section for section in _sections(morning, at) if section.lines]
    bad = [health for health in morning.healths if health.status is not Health.OK]
    health = worst([found.status for found in morning.healths])
    return Report(
        kind="daily",
        title=f"Morning check: {_heading(morning)}",
        severity=_severity(health, sections, watched=morning.watched),
        at=at,
        summary=_summary(morning, sections),
        sections=sections,
        links=(("All jobs", page),) if page else (),
        details=_details(morning, bad, at),
    )


def _severity(health: Health, sections: Sequence[Section], *, watched: bool) -> Health:
    """A problem that is over needs no attention, but is still worth a warning."""
    return Health.WARNING if health is Health.OK and (sections or not watched) else health


def _heading(morning: Morning) -> str:
    jobs = len(morning.healths)
    if not jobs:
        return "no jobs"
    critical, unknown, warning = (
        sum(health.status is status for health in morning.healths)
        for status in (Health.CRITICAL, Health.UNKNOWN, Health.WARNING)
    )
    parts = [f"{critical} critical"] * bool(critical) + [f"{unknown} unknown"] * bool(unknown)
    parts += [f"{counted(warning, 'warning')}"] * bool(warning)
    return f"{', '.join(parts)} of {counted(jobs, 'job')}" if parts else f"{counted(jobs, 'job')}, all healthy"


def _summary(morning: Morning, sections: Sequence[Section]) -> str:
    if not morning.healths:
        return "No jobs are watched yet; register some: airflow jobmon jobs apply FILE."
    unwatched = "" if morning.watched else _UNWATCHED
    if not sections:
        return f"In the last 24 hours, no run failed and none was missed.{unwatched}"
    late, problems = len(morning.missed), len(morning.open)
    said = [
        _failed(morning.failures),
        f"{counted(late, 'run')} missed" if late else "no run missed",
        counted(problems, "open incident") if problems else "no open incidents",
    ]
    sentence = "; ".join(said)
    return f"Last 24 hours: {sentence}.{unwatched}"


def _failed(failures: Sequence[FailedRuns]) -> str:
    if not failures:
        return "no run failed"
    recovered = sum(found.recovered_at is not None for found in failures)
    runs = counted(sum(found.count for found in failures), "run")
    recoveries = f" ({counted(recovered, 'job')} recovered)" if recovered else ""
    return f"{runs} of {counted(len(failures), 'job')} failed{recoveries}"


def _sections(morning: Morning, at: datetime) -> Iterator[Section]:
    by_rank = sorted(morning.healths, key=lambda health: (-health.status.rank, health.job_name))
    yield Section("Needs attention", [_finding_line(health) for health in by_rank if health.status in _BAD])
    yield Section("Failed in the last 24 hours", [_failure_line(found) for found in morning.failures])
    yield Section("Missed runs", [_missed_line(found) for found in morning.missed])
    yield Section(
        "Records look wrong",
        [
            f"{_name(health)}: {found.message}"
            for health in by_rank
            for found in health.findings
            if found.kind.value in _RECORDS
        ],
    )
    yield Section("Warnings", list(_warnings(by_rank)))
    oldest_first = sorted(morning.open, key=lambda found: found.since)
    yield Section("Open incidents", [_open_line(found, at) for found in oldest_first])
    yield Section(
        "Undelivered alerts",
        [
            f"{one_line(found.channel)}: {counted(found.alerts, 'alert')}"
            + (f"; last error: {fit(one_line(found.error), 200)}" if found.error else "")
            + "; fix the channel, then run: airflow jobmon alerts --retry"
            for found in morning.undelivered
        ],
    )


def _finding_line(health: JobHealth) -> str:
    found = "; ".join(finding.message for finding in health.findings if finding.severity in _BAD)
    return f"{_name(health)}: {found or 'no run has finished yet'}"


def _warnings(by_rank: Sequence[JobHealth]) -> Iterator[str]:
    for health in by_rank:
        for finding in health.findings:
            if finding.severity is Health.WARNING and finding.kind.value not in _RECORDS:
                yield f"{_name(health)}: {finding.message}"


def _failure_line(found: FailedRuns) -> str:
    error = f": {fit(one_line(found.last_error), 200)}" if found.last_error else ""
    after = f"recovered at {to_the_second(found.recovered_at)}" if found.recovered_at else "not recovered"
    runs = " failed" if found.count == 1 else f": {found.count} runs failed, the last"
    return f"{one_line(found.job_name, 400)}{runs} at {to_the_second(found.last_at)}, {after}{error}"


def _missed_line(found: MissedRun) -> str:
    if found.came_at:
        came = f"started at {to_the_second(found.came_at)}"
    else:
        came = f"no longer missed since {to_the_second(found.over_at)}" if found.over_at else "has not started yet"
    return f"{one_line(found.job_name, 400)} was due by {to_the_second(found.due_at)}, {came}"


def _open_line(found: DigestIncident, at: datetime) -> str:
    title = KIND_TITLES.get(found.kind, found.kind.replace("_", " ").title())
    handled = f" ({found.handled})" if found.handled else ""
    since = f"since {to_the_second(found.since)}, {roughly(at - found.since)}"
    return f"{title}: {one_line(found.job_name, 400)}, {since}{handled}: {fit(one_line(found.message), 300)}"


def _details(morning: Morning, bad: Sequence[JobHealth], at: datetime) -> dict[str, Any]:
    return {
        "since": iso(at - PERIOD),
        "jobs": len(morning.healths),
        "watched": morning.watched,
        "not_ok": [health.as_json() for health in bad],
        "failures": [
            {
                "job_name": found.job_name,
                "count": found.count,
                "last_at": iso(found.last_at),
                "last_error": found.last_error,
                "recovered_at": iso(found.recovered_at),
            }
            for found in morning.failures
        ],
        "missed": [
            {"job_name": found.job_name, "due_at": iso(found.due_at), "came_at": iso(found.came_at)}
            for found in morning.missed
        ],
        "open": [
            {"job_name": found.job_name, "kind": found.kind, "since": iso(found.since), "handled": found.handled}
            for found in morning.open
        ],
        "undelivered": [{"channel": found.channel, "alerts": found.alerts} for found in morning.undelivered],
    }


def _name(health: JobHealth) -> str:
    return one_line(health.job_name, 400)
