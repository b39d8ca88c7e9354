"""The overview: a headline, the open incidents and who handles them, and a row per job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from fastapi.responses import HTMLResponse

from airflow_jobmon.core.model.silences import in_force
from airflow_jobmon.core.rendering.charts import strip_chart
from airflow_jobmon.core.reports.dashboard import (
    JobRow,
    count_healths,
    handled_jobs,
    headline,
    job_rows,
    undelivered_warning,
    watcher_warning,
)
from airflow_jobmon.postgres import dashboard as reading
from airflow_jobmon.postgres.stored_health import stored_health
from airflow_jobmon.web.page.rendering import render

DAYS = 30
"""UTC days that a strip shows, up to today."""

_JOBS, _INCIDENTS = 500, 2000
"""Jobs on one page, and open incidents that are read."""

_SHOWN, _FOLDED = 8, 200
"""Open incidents shown right away, and after unfolding."""

_UNDELIVERED = timedelta(days=1)

HINTED = 60
"""Up to this many jobs, strips show each day's runs on hover; with more the page would be too large."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter: names that contain `text`, in any case; jobs of one health (empty: any); the page."""

    text: str = ""
    health: str = ""
    page: int = 1

    def names(self, name: str) -> bool:
        return self.text.strip().lower() in name.lower()


def overview(conn: psycopg.Connection[Any], wanted: Wanted) -> HTMLResponse:
    """Render the overview from stored health; record nothing."""
    now = datetime.now(UTC)
    stored = stored_health(conn, now=now)
    opened, monitor = reading.incidents(conn, limit=_INCIDENTS), reading.monitor_status(conn)
    silences = reading.silences(conn)
    silenced = {
        job["job_name"]: silence
        for job in (stored.report["jobs"] if silences else ())
        if (silence := in_force(silences, job["job_name"], now))
    }
    every = job_rows(stored.report["jobs"], handled_jobs(opened) | silenced.keys())
    named = [line for line in every if wanted.names(line.name)]
    matching = [line for line in named if wanted.health in {"", line.health.value}]
    pages = max(-(-len(matching) // _JOBS), 1)
    page = min(wanted.page, pages)
    shown = matching[(page - 1) * _JOBS : page * _JOBS]
    warnings = (
        watcher_warning(monitor, now=now) if every and not stored.stale else None,
        undelivered_warning(reading.undelivered(conn, now, _UNDELIVERED), _UNDELIVERED),
    )
    incidents = [incident for incident in opened if wanted.names(incident.job_name)]
    return render(
        "overview",
        now=now,
        monitor=monitor,
        headline=headline(every, monitor, stale=stored.stale, now=now),
        warnings=[warning for warning in warnings if warning],
        wanted=wanted,
        counts=count_healths(named),
        named=len(named),
        jobs=shown,
        matching=len(matching),
        total=len(every),
        page=page,
        pages=pages,
        silenced=silenced,
        strips=_strips(conn, shown, now.date()),
        incidents=incidents[:_SHOWN],
        folded=incidents[_SHOWN:_FOLDED],
        unshown=max(len(incidents) - _FOLDED, 0),
    )


def _strips(conn: psycopg.Connection[Any], shown: Sequence[JobRow], today: date) -> Mapping[str, str]:
    """Each job's last month as an SVG strip."""
    month = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    found = reading.finished_days(conn, [line.name for line in shown], month[0])
    return {name: _strip(by_day, month, hinted=len(shown) <= HINTED) for name, by_day in found.items()}


def _strip(by_day: Mapping[date, tuple[int, int]], month: Sequence[date], *, hinted: bool) -> str:
    counts = [by_day.get(day, (0, 0)) for day in month]
    hints = [day_hint(day, *count) for day, count in zip(month, counts, strict=True)] if hinted else ()
    return strip_chart([_tone(*count) for count in counts], hints=hints)


def _tone(succeeded: int, failed: int) -> str:
    if not failed:
        return "good" if succeeded else "none"
    return "warn" if succeeded else "bad"


def day_hint(day: date, succeeded: int, failed: int) -> str:
    """The text shown when hovering over a day."""
    if not succeeded + failed:
        return f"{day}: no finished run"
    failures = f", {failed} failed" if failed else ""
    return f"{day}: {succeeded} of {succeeded + failed} succeeded{failures}"
