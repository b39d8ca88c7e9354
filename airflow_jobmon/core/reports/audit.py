"""The report of a monthly audit: what was exported and archived, the alert drill, and what belongs in the runbook."""

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
"""A drill's step for a channel starts with this, followed by the channel's name."""

_MOST_ERRORS = 50
"""New error texts that the report lists; its details have all of them."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of the export: its name, the rows in it, and the SHA-256 of its bytes."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NewError:
    """An error text, digits and ids aside, that no run had before the last audit."""

    job_name: str
    error: str
    runs: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class AuditPart:
    """A part of the audit that another task or call did. problem: why it failed; empty if it did not."""

    summary: str
    rows: Sequence[tuple[str, str, str, str]] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything the report of an audit is made from.

    job_name: the job it is about, None for all. since: the last audit, None for the first. kept_at: the URI of the
    export.
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
        """What failed or could not be verified, one sentence each; empty if nothing."""
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
        return f"Monthly audit: {counted(len(audit.problems), 'step')} failed"
    return "Monthly audit: " + ("everything done and verified" if audit.drill.rows else "done, without an alert drill")


def archive_part(done: Mapping[str, Any] | None) -> AuditPart:
    """From the result of archiving; None: it did not finish."""
    if not done:
        return AuditPart("archiving did not finish", problem="it did not finish; see the task's log")
    runs, jobs = done["runs"], done["job_count"]
    verb = "dry run: would archive" if done["dry_run"] else "archived"
    what = f"{counted(runs, 'run', ',')} of {counted(jobs, 'job', ',')}" if runs else "no runs"
    where = f" to {done['to']}" if done.get("to") else ""
    refused = "; ".join(
        f"{counted(count, 'run', ',')} refused: {one_line(why, 200)}" for why, count in done["refused"].items()
    )
    return AuditPart(f"{verb} {what} from before {done['before']}{where}", problem=refused)


def drill_part(
    drills: Sequence[Sequence[Mapping[str, Any]] | None] | None,
    *,
    wanted: bool = True,
    channels: frozenset[str] = frozenset(),
) -> AuditPart:
    """From the steps that each drill returned; None: it did not finish.

    wanted: whether a drill was requested at all. channels: those the drills should have reached together; a drill that
    crashed may not even have left a None.
    """
    if not wanted:
        return AuditPart("no alert drill was requested")
    if not drills or not all(drills):
        return AuditPart("the alert drill did not finish", problem="it did not finish; see the task's log")
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
    failed += [f"no drill tested {channel}; see the task's logs" for channel in sorted(channels - tried)]
    accepted = sum(step["step"].startswith(_ACCEPTED) and step["ok"] for step in steps)
    summary = (
        f"{counted(accepted, 'test alert', ',')} accepted by the channels' servers"
        if accepted
        else "no test alert was accepted"
    )
    return AuditPart(summary, rows, problem=fit(one_line("; ".join(failed)), 500))


UNREGISTERED = "jobmon-audit"
"""The job name a drill uses if no registered job's alerts reach the default channels."""


def jobs_reaching_every_channel(
    reached: Mapping[str, frozenset[str]], usual: frozenset[str], first: str | None
) -> list[str]:
    """Names of jobs whose alerts together reach every channel; `first`, if given, is among them.

    reached: the channels of each registered job. usual: those of an unregistered job.
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
    since = f"since the last audit ({to_the_second(audit.since)})" if audit.since else "(this is the first audit)"
    errors = f"{counted(len(audit.errors), 'new error text', ',') if audit.errors else 'no new error texts'} {since}"
    problems = f" Failed: {'; '.join(audit.problems)}." if audit.problems else ""
    return (
        f"{counted(len(audit.healths), 'job', ',')}, {critical} critical; "
        f"{counted(len(audit.files), 'file')} exported; {audit.archive.summary}; "
        f"{audit.drill.summary}; {errors}.{problems}"
    )


def _sections(audit: Audit) -> Iterator[Section]:
    if audit.problems:
        yield Section("Failed or not verified", audit.problems)
    yield Section("Archive", [audit.archive.summary])
    table = Table(("step", "expected", "observed", "seconds"), audit.drill.rows, frozenset({3}))
    yield Section("Alert drill", [audit.drill.summary], table if audit.drill.rows else None)
    yield Section(
        "New error texts, for the runbook",
        [
            f"{one_line(found.job_name, 400)}, {counted(found.runs, 'run', ',')} since "
            f"{to_the_second(found.first_at)}: {fit(one_line(found.error), 300)}"
            for found in audit.errors[:_MOST_ERRORS]
        ]
        or ["none"],
    )
    rows = [(found.name, f"{found.rows:,}", found.sha256) for found in audit.files]
    yield Section("Export", [f"stored in {audit.kept_at}"], Table(("file", "rows", "SHA-256"), rows, frozenset({1})))


def _details(audit: Audit) -> dict[str, Any]:
    return {
        "job_name": audit.job_name,
        "since": iso(audit.since),
        "kept_at": audit.kept_at,
        "files": [{"name": found.name, "rows": found.rows, "sha256": found.sha256} for found in audit.files],
        "archive": audit.archive.summary,
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
