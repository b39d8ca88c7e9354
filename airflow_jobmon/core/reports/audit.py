"""The monthly audit in one report: what was exported, archived, drilled, and what belongs into the runbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_jobmon.core.model.health import Health, JobHealth
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import iso, to_the_second

_ACCEPTED = "accepted by "
"""How a drill's step that proves a channel begins; the channel's name follows."""

_MOST_ERRORS = 50
"""New error texts that the report shows; the export has them all."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of the export: its name, the rows in it, and the SHA-256 of its bytes."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NewError:
    """An error text, digits and ids aside, that no run before the last audit ended with."""

    job_name: str
    error: str
    runs: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class AuditPart:
    """A part of the audit that another task or call did. problem: why it says nothing; empty where it was done."""

    said: str
    rows: Sequence[tuple[str, str, str, str]] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit is made of.

    job_name: the job that it is about, None for all. since: the last audit, None for the first. kept_at: where the
    export is, as a URI.
    """

    job_name: str | None
    healths: Sequence[JobHealth]
    since: datetime | None
    files: Sequence[ExportedFile]
    kept_at: str
    archive: AuditPart
    drill: AuditPart
    errors: Sequence[NewError]

    @property
    def problems(self) -> list[str]:
        """What was not done or not proven, each in a sentence; empty where all was."""
        named = (("archive", self.archive), ("alert drill", self.drill))
        return [f"{name}: {step.problem}" for name, step in named if step.problem]


def audit_report(audit: Audit, *, at: datetime, page: str | None) -> Report:
    """The report of one audit."""
    problems = audit.problems
    return Report(
        kind="audit",
        title=_title(audit),
        severity=Health.CRITICAL if problems else Health.WARNING if audit.errors else Health.OK,
        at=at,
        summary=_summary(audit),
        sections=list(_sections(audit)),
        links=(("All jobs", page),) if page else (),
        details=_details(audit),
    )


def _title(audit: Audit) -> str:
    if audit.problems:
        return f"Monthly audit: {len(audit.problems)} not done"
    return "Monthly audit: " + ("all done and proven" if audit.drill.rows else "done, without an alert drill")


def archive_part(done: Mapping[str, Any] | None) -> AuditPart:
    """From what archiving returned; None: it did not finish."""
    if not done:
        return AuditPart("not archived", problem="it did not finish; see the log of that task")
    runs, jobs = done["runs"], done["job_count"]
    what = "would be archived (dry run)" if done["dry_run"] else "archived"
    where = f" to {done['to']}" if done.get("to") else ""
    said = f"{counted(runs, 'run', ',')} of {counted(jobs, 'job', ',')} from before {done['before']} {what}{where}"
    refused = "; ".join(f"{count:,} were refused: {one_line(why, 200)}" for why, count in done["refused"].items())
    return AuditPart(said, problem=refused)


def drill_part(
    drills: Sequence[Sequence[Mapping[str, Any]] | None] | None,
    *,
    wanted: bool = True,
    channels: frozenset[str] = frozenset(),
) -> AuditPart:
    """From the steps that each drill returned; None: it did not finish.

    wanted: whether one was to be held at all. channels: what the drills were to reach together; a drill that crashed
    may have left nothing to show, not even a None.
    """
    if not wanted:
        return AuditPart("no alert drill was held")
    if not drills or not all(drills):
        return AuditPart("not held", problem="it did not finish; see the log of that task")
    steps = [step for drill in drills for step in drill or ()]
    rows = [
        (
            f"{'' if step['ok'] else '✗ '}{step['step']}",
            str(step["expected"]),
            str(step["observed"]),
            "" if step["seconds"] is None else f"{step['seconds']:.2f}",
        )
        for step in sorted(steps, key=lambda step: bool(step["ok"]))
    ]
    failed = [f"{step['step']}: {step['observed']}" for step in steps if not step["ok"]]
    tried = {step["step"].removeprefix(_ACCEPTED) for step in steps if step["step"].startswith(_ACCEPTED)}
    failed += [f"no drill tried {channel}; see the logs of that task" for channel in sorted(channels - tried)]
    accepted = sum(step["step"].startswith(_ACCEPTED) and step["ok"] for step in steps)
    said = (
        f"{counted(accepted, 'alert', ',')} arrived, each accepted by its channel's server"
        if accepted
        else "no alert arrived"
    )
    return AuditPart(said, rows, problem=fit(one_line("; ".join(failed)), 500))


UNREGISTERED = "jobmon-audit"
"""The name that a drill goes by where no registered job's alerts reach the usual channels."""


def covering(reached: Mapping[str, frozenset[str]], usual: frozenset[str], first: str | None) -> list[str]:
    """Names of jobs whose alerts together reach every channel, `first` among them where one is given.

    reached: the channels of each registered job. usual: those of a job that nobody registered.
    """
    known = {**reached, UNREGISTERED: usual}
    chosen = [first] if first is not None else []
    left = frozenset().union(*known.values()) - (known.get(first, usual) if first is not None else frozenset())
    while left:
        best = max(known, key=lambda name: len(known[name] & left))
        chosen.append(best)
        left -= known[best]
    return chosen or [next(iter(reached), UNREGISTERED)]


def _summary(audit: Audit) -> str:
    critical = sum(health.status is Health.CRITICAL for health in audit.healths)
    since = f"since the last audit, {to_the_second(audit.since)}" if audit.since else "(this is the first audit)"
    errors = f"{counted(len(audit.errors), 'new error text', ',')} {since}"
    problems = f" Not done: {'; '.join(audit.problems)}." if audit.problems else ""
    return (
        f"{counted(len(audit.healths), 'job', ',')}, {critical} critical; {len(audit.files)} files exported; "
        f"{audit.archive.said}; {audit.drill.said}; {errors}.{problems}"
    )


def _sections(audit: Audit) -> Iterator[Section]:
    if audit.problems:
        yield Section("Not done or not proven", audit.problems)
    yield Section("Archive", [audit.archive.said])
    table = Table(("step", "expected", "observed", "seconds"), audit.drill.rows, frozenset({3}))
    yield Section("Alert drill", [audit.drill.said], table if audit.drill.rows else None)
    yield Section(
        "For the runbook: error texts that are new",
        [
            f"{one_line(found.job_name, 400)}, {counted(found.runs, 'run', ',')} since "
            f"{to_the_second(found.first_at)}: {fit(one_line(found.error), 300)}"
            for found in audit.errors[:_MOST_ERRORS]
        ]
        or ["none"],
    )
    rows = [(found.name, f"{found.rows:,}", found.sha256) for found in audit.files]
    yield Section("Export", [f"kept at {audit.kept_at}"], Table(("file", "rows", "SHA-256"), rows, frozenset({1})))


def _details(audit: Audit) -> dict[str, Any]:
    return {
        "job_name": audit.job_name,
        "since": iso(audit.since),
        "kept_at": audit.kept_at,
        "files": [{"name": found.name, "rows": found.rows, "sha256": found.sha256} for found in audit.files],
        "archive": audit.archive.said,
        "drill": [list(row) for row in audit.drill.rows],
        "problems": audit.problems,
        "new_errors": [
            {
                "job_name": found.job_name,
                "error": found.error,
                "runs": found.runs,
                "first_at": iso(found.first_at),
            }
            for found in audit.errors
        ],
    }
