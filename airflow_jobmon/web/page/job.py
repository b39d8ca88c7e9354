"""A job's page, the target of View Logs in alerts: its health, last month in charts, runs, incidents, alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from fastapi.responses import HTMLResponse

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, job_by_defaults
from airflow_jobmon.core.model.days import DayStats
from airflow_jobmon.core.model.silences import in_force
from airflow_jobmon.core.rendering.charts import band_chart, bar_chart, usual_band
from airflow_jobmon.core.rendering.suggested_commands import acknowledge_command, silence_command, unsilence_command
from airflow_jobmon.core.times import format_duration, roughly
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres import dashboard as reading
from airflow_jobmon.postgres.day_stats import days
from airflow_jobmon.settings import Settings
from airflow_jobmon.web.page.overview import DAYS, day_hint
from airflow_jobmon.web.page.rendering import NOTHING, render

_RUNS, _INCIDENTS, _ALERTS = 25, 30, 25

_UNREGISTERED = {
    "learn": "no: alerts on failed, stuck and missed runs, by its learned schedule",
    "defaults": "no: evaluated by the defaults",
    "ignore": "no: unregistered jobs are ignored, so no one is notified",
}


def job_page(conn: psycopg.Connection[Any], settings: Settings, job_name: str) -> HTMLResponse:
    """Render the page from an evaluation made now; record nothing.

    Raises UnknownJob for a name that is neither registered nor in the log.
    """
    now = datetime.now(UTC)
    health = next(iter(assess_jobs(conn, settings, [job_name])), None)  # none: disabled in the registry
    incidents = reading.incidents(conn, job_name, limit=_INCIDENTS)
    incident_kinds = {one.kind for one in incidents if one.resolved_at is None}
    silence = in_force(reading.silences(conn), job_name, now)
    registered = reading.registration(conn, job_name)
    source, job = registered or (None, job_by_defaults(job_name))
    month = [now.date() - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    by_day = {one.day: one for one in days(conn, [job_name], month[0])[job_name]}
    return render(
        "job",
        now=now,
        job=job,
        job_name=job_name,
        health=health,
        findings=[found for found in health.findings if found.kind not in incident_kinds] if health else [],
        monitor=reading.monitor_status(conn),
        expectations=_expectations(source, job, settings.unregistered_jobs),
        silence=silence,
        silencing=silence_command(job_name),
        lifting=unsilence_command(silence.name) if silence else None,
        incidents=[(one, acknowledge_command(one.id)) for one in incidents if one.resolved_at is None],
        past=[one for one in incidents if one.resolved_at is not None],
        charts=list(_charts([by_day.get(day) for day in month], month, job)),
        month=month,
        days=[by_day[day] for day in reversed(month) if day in by_day],
        runs=reading.recent_runs(conn, job_name, limit=_RUNS),
        alerts=reading.recent_alerts(conn, job_name, limit=_ALERTS),
    )


def _expectations(source: str | None, job: MonitoredJob, unregistered: str) -> list[tuple[str, str]]:
    """What the job is expected to do, as label and value."""
    registered = ("Registered by", source) if source else ("Registered", _UNREGISTERED[unregistered])
    if source is None and unregistered != "defaults":
        return [registered]
    schedule = f"{job.schedule} ({job.timezone})" if job.schedule else f"every {format_duration(job.every)}"
    found = [
        ("Schedule", f"{schedule}, grace {format_duration(job.grace)}"),
        ("Limits", f"slow over {format_duration(job.max_duration)}, stuck over {format_duration(job.timeout)}"),
        ("Success rate", f"at least {job.min_success_rate:g} % over {job.window_days} days"),
        registered,
    ]
    if job.owner:
        found.insert(0, ("Owner", job.owner))
    if job.tags:
        found.append(("Tags", ", ".join(job.tags)))
    return found


def _charts(stats: Sequence[DayStats | None], month: Sequence[date], job: MonitoredJob) -> Iterator[dict[str, str]]:
    rates = [one.success_rate if one else None for one in stats]
    durations = [one.duration_mean if one else None for one in stats]
    records = [float(one.records_sum) if one and one.records_sum is not None else None for one in stats]
    finished = sum(one.finished_runs for one in stats if one)
    succeeded = sum(one.successful_runs for one in stats if one)
    yield {
        "title": "Success per day",
        "figure": f"{100 * succeeded / finished:.1f} %" if finished else NOTHING,
        "note": f"{succeeded} of {finished} runs succeeded",
        "top": "100 %",
        "drawing": bar_chart(
            rates,
            lambda rate: "bad" if rate < job.min_success_rate else "warn" if rate < 100 else "good",
            top=100.0,
            hints=[
                day_hint(day, one.successful_runs if one else 0, one.failed_runs if one else 0)
                for day, one in zip(month, stats, strict=True)
            ],
        ),
    }
    usual = usual_band(durations)
    yield {
        "title": "Duration",
        "figure": _seconds(next((value for value in reversed(durations) if value is not None), None)),
        "note": f"usually {_span(*usual)}" if usual else "mean of each day's successes",
        "top": _seconds(max((value for value in durations if value is not None), default=None)),
        "drawing": band_chart(durations, usual=usual, hints=_hints(month, [_seconds(value) for value in durations])),
    }
    yield {
        "title": "Records per day",
        "figure": _count(next((value for value in reversed(records) if value is not None), None)),
        "note": f"{_count(sum(value or 0 for value in records))} in 30 days",
        "top": _count(max((value for value in records if value is not None), default=None)),
        "drawing": bar_chart(records, lambda _: "plain", hints=_hints(month, [_count(value) for value in records])),
    }


def _hints(month: Sequence[date], values: Sequence[str]) -> list[str]:
    return [f"{day}: {value}" for day, value in zip(month, values, strict=True)]


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else roughly(timedelta(seconds=value))


def _span(low: float, high: float) -> str:
    """`9 s to 14 s`, or one value if both read alike."""
    shortest, longest = _seconds(low), _seconds(high)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"
