"""Registry entries of every kind, for property tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob

_LINE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])


def lines(longest: int) -> st.SearchStrategy[str]:
    """One line of any text: quotes, markup, what YAML and CSV take for their own, every script."""
    tempting = st.sampled_from(
        ["no", "null", "~", "- a", "a: b", "# x", "'", '"', "{", "0x1f", "1:30", "2025-01-01", "=1+1"]
    )
    return (tempting | st.text(_LINE, min_size=1, max_size=longest)).filter(lambda text: bool(text.strip()))


def _durations(least: timedelta) -> st.SearchStrategy[timedelta]:
    return st.timedeltas(min_value=least, max_value=timedelta(days=3660)) | st.sampled_from(
        [timedelta(hours=1), timedelta(seconds=90)]
    )


_LONGER_THAN_NOTHING = _durations(timedelta(microseconds=1))
_ANY = _durations(timedelta(0))
_URLS = st.sampled_from(["https://wiki.example/a?b=c#d", "http://h", "https://ü.example/%20'\"<>"])
_CHANNELS = st.text(_LINE, min_size=1, max_size=20).filter(lambda text: not any(c.isspace() or c in ",;" for c in text))
_RATES = st.floats(0, 100) | st.integers(0, 100)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"]),
    "grace": _ANY,
    "early": _ANY,
    "timeout": _LONGER_THAN_NOTHING,
    "max_duration": _LONGER_THAN_NOTHING,
    "min_success_rate": _RATES,
    "target_success_rate": _RATES,
    "window_days": st.integers(1, 400),
    "failures_to_alert": st.integers(1, 1000),
    "zero_records_days": st.integers(0, 400),
    "realert_interval": st.none() | _LONGER_THAN_NOTHING,
    "channels": st.none() | st.lists(_CHANNELS, max_size=3),
    "tags": st.lists(lines(30), max_size=3),
    "owner": st.none() | lines(60),
    "logs_url": st.none() | _URLS,
    "runbook_url": st.none() | _URLS,
    "enabled": st.booleans(),
}
_WHEN: dict[str, st.SearchStrategy[Any]] = {
    "schedule": st.sampled_from(["0 2 * * *", "*/5 * * * *", "30 7 * * 1-5", "0 0 1 1 *", "59 23 L * *"]),
    "every": _LONGER_THAN_NOTHING,
}
FIELDS_DRAWN = {"name", *_FIELDS, *_WHEN}
NAMES = lines(60).map(str.strip)


@st.composite
def monitored_jobs(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> MonitoredJob:
    """Any job, any of its fields set or left out."""
    when = draw(st.sampled_from(["schedule", "every", None]))
    fields = draw(st.fixed_dictionaries({}, optional=_FIELDS))
    if when is not None:
        fields[when] = draw(_WHEN[when])
    return MonitoredJob(name=draw(names), **fields)


def registries() -> st.SearchStrategy[list[MonitoredJob]]:
    """Some jobs, each under a name of its own."""
    return st.lists(monitored_jobs(), max_size=5, unique_by=lambda job: job.name)
