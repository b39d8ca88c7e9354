"""The first page: is everything all right, what is open and who knows of it, and every job in a line."""

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
    JobLine,
    count_healths,
    job_lines,
    known_jobs,
    overall_status,
    undelivered_problem,
    watcher_problem,
)
from airflow_jobmon.postgres import dashboard as reading
from airflow_jobmon.postgres.stored_health import stored_health
from airflow_jobmon.web.page.rendering import render

DAYS = 30
"""UTC days that a strip shows, today the last of them."""

_JOBS, _INCIDENTS = 500, 2000
"""Jobs on one page, and open incidents that are looked at."""

_SHOWN, _FOLDED = 8, 200
"""Open incidents that are shown at once, and after unfolding."""

_UNDELIVERED = timedelta(days=1)

HINTED = 60
"""Strips of so many jobs at most say each day's runs to a pointer; with more the page would weigh too much."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: names that hold `text`, in whatever case, jobs of one health (empty: of any), which page."""

    text: str = ""
    health: str = ""
    page: int = 1

    def names(self, name: str) -> bool:
        return self.text.strip().lower() in name.lower()


def overview(conn: psycopg.Connection[Any], wanted: Wanted) -> HTMLResponse:
    """From the stored verdicts; records nothing."""
    now = datetime.now(UTC)
    stored = stored_health(conn, now=now)
    opened, watch = reading.incidents(conn, limit=_INCIDENTS), reading.watcher_status(conn)
    silences = reading.silences(conn)
    silenced = {
        job["job_name"]: silence
        for job in (stored.report["jobs"] if silences else ())
        if (silence := in_force(silences, job["job_name"], now))
    }
    every = job_lines(stored.report["jobs"], known_jobs(opened) | silenced.keys())
    named = [line for line in every if wanted.names(line.name)]
    matching = [line for line in named if wanted.health in {"", line.health.value}]
    pages = max(-(-len(matching) // _JOBS), 1)
    page = min(wanted.page, pages)
    shown = matching[(page - 1) * _JOBS : page * _JOBS]
    troubles = (
        watcher_problem(watch, now=now) if every and not stored.stale else None,
        undelivered_problem(reading.undelivered(conn, now, _UNDELIVERED), _UNDELIVERED),
    )
    incidents = [incident for incident in opened if wanted.names(incident.job_name)]
    return render(
        "overview",
        now=now,
        watch=watch,
        saying=overall_status(every, watch, stale=stored.stale, now=now),
        troubles=[trouble for trouble in troubles if trouble],
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
        first_day=now.date() - timedelta(days=DAYS - 1),
    )


def _strips(conn: psycopg.Connection[Any], shown: Sequence[JobLine], today: date) -> Mapping[str, str]:
    """Each job's month as a drawing."""
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
    """What a pointer on a day is told of the runs that ended."""
    if not succeeded + failed:
        return f"{day}: no run ended"
    told = f", {failed} failed" if failed else ""
    return f"{day}: {succeeded} of {succeeded + failed} succeeded{told}"
