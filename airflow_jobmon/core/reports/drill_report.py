"""The report of a drill."""

from __future__ import annotations

from airflow_jobmon.core.drills.drills import DrillResult, Step
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.text import counted

_COLUMNS = ("step", "expected", "observed", "seconds")


def drill_report(result: DrillResult) -> Report:
    """Every step, failed ones first."""
    steps = sorted(result.steps, key=lambda step: step.ok)
    failed = sum(not step.ok for step in steps)
    return Report(
        kind="drill",
        title=f"Alert Drill {'Passed' if result.passed else 'Failed'}: {result.job_name}",
        severity=Health.OK if result.passed else Health.CRITICAL,
        at=result.began_at,
        summary=(
            f"The {result.drill} drill passed: {counted(len(steps), 'step')} as expected."
            if result.passed
            else f"The {result.drill} drill failed {failed} of {counted(len(steps), 'step')}: {result.failures}."
        ),
        sections=(Section("Steps", table=Table(_COLUMNS, [_cells(step) for step in steps], frozenset({3}))),),
        details=result.as_json(),
    )


def _cells(step: Step) -> tuple[str, str, str, str]:
    mark = "" if step.ok else "✗ "
    return f"{mark}{step.step}", step.expected, step.observed, "" if step.seconds is None else f"{step.seconds:.2f}"
