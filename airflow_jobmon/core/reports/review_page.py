"""The weekly review as one HTML page with a month of charts per job, without scripts or external resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.rendering.charts import band_chart, bar_chart, usual_band
from airflow_jobmon.core.rendering.report_text import report_title
from airflow_jobmon.core.reports.job_week import JobWeek
from airflow_jobmon.core.text import fit, one_line

DAYS = 30
"""UTC days in the charts, up to the day of the review."""


@dataclass(frozen=True, slots=True)
class JobDay:
    """One job's UTC day: success rate in percent; average duration in seconds and records of successful runs."""

    success_rate: float | None
    avg_duration: float | None
    records: float | None


def review_page(report: Report, weeks: Sequence[JobWeek], days: Mapping[str, Mapping[date, JobDay]]) -> str:
    """The page, as HTML. `days`: by job name and UTC date; a missing date is a day without runs."""
    shown = [report.at.date() - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    by_name = {one.job.name: one for one in weeks}
    order = [entry["job_name"] for entry in report.details["jobs"]]
    return _template().render(
        title=report_title(report, 200),
        summary=one_line(report.summary),
        at=report.at,
        first=shown[0],
        last=shown[-1],
        sections=[section for section in report.sections if section.lines],
        jobs=[_job(by_name[name], [days.get(name, {}).get(day) for day in shown]) for name in order],
    )


def page_name(at: datetime) -> str:
    """The file's name: one per day, so a second review on the same day replaces the first."""
    return f"jobmon-weekly-review-{at:%Y-%m-%d}.html"


def _job(one: JobWeek, days: Sequence[JobDay | None]) -> dict[str, Any]:
    entry = one.job
    rates = [day.success_rate if day else None for day in days]
    durations = [day.avg_duration if day else None for day in days]
    records = [day.records if day else None for day in days]
    return {
        "name": fit(one_line(entry.name, 2000), 300),
        "health": one.health.status.value,
        "findings": [one_line(found.message) for found in one.health.findings],
        "week": one.week,
        "before": one.before,
        "success": bar_chart(
            rates, lambda rate: _tone(rate, entry.min_success_rate, entry.target_success_rate), top=100.0
        ),
        "duration": band_chart(durations, usual=usual_band(durations)),
        "records": bar_chart(records, lambda _: "plain"),
    }


def _tone(rate: float, least: float, target: float) -> str:
    return "bad" if rate < least else "warn" if rate < target else "good"


@cache
def _template() -> Template:
    source = files("airflow_jobmon.core.reports").joinpath("review_page.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
