"""What a sensor waits for: the first finished run of a job; and whether that run is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_jobmon.core.model.runs import FAILED, Run
from airflow_jobmon.core.times import parse_duration, parse_moment
from airflow_jobmon.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_jobmon.core.jobs.monitored_job import MonitoredJob  # pydantic, which a DAG file need not load

ON_FAILED_RUN = ("fail", "skip", "wait")
_QUOTED = 500
"""Characters of a run's error that a message quotes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """For the first finished run of `job_name` that started at or after `since`; drills do not count.

    With `good_only`, runs with a `shortfall` are skipped.
    """

    job_name: str
    since: datetime
    good_only: bool = False
    min_records: int | None = None


def check_job_name(job_name: Any) -> None:
    """Raise ConfigurationError for a name that Postgres cannot store: it would fail all waits that share its query."""
    if not isinstance(job_name, str) or not job_name:
        raise ConfigurationError(f"job_name is {job_name!r}; give the name that the job logs its runs under")
    try:
        job_name.encode()
    except UnicodeEncodeError:
        storable = False
    else:
        storable = "\0" not in job_name
    if not storable:
        raise ConfigurationError(
            f"job_name {job_name[:60]!a} holds a character that Postgres cannot store as text; correct it"
        )


def check_handling(on_failed_run: Any, min_records: Any) -> None:
    """Raise ConfigurationError for an invalid `on_failed_run` or `min_records`."""
    if on_failed_run not in ON_FAILED_RUN:
        raise ConfigurationError(f"on_failed_run is {on_failed_run!r}; use one of {', '.join(ON_FAILED_RUN)}")
    if min_records is not None and (type(min_records) is not int or not 0 <= min_records < 2**31):
        raise ConfigurationError(f"min_records is {min_records!r}; use a whole number from 0 on, or None")


def since_when(since: datetime | timedelta | str, run_after: datetime) -> datetime:
    """The time that a sensor's `since` means, in UTC; a time without an offset is UTC.

    A timedelta, or text such as `2h`, counts back from `run_after`. Raises ConfigurationError for anything else.
    """
    if isinstance(since, str):
        since = _read(since)
    if isinstance(since, datetime):
        return _plain_utc(since)
    if not isinstance(since, timedelta):
        raise ConfigurationError(f"since is {since!r}; give a datetime, a timedelta or a template that renders to one")
    if since < timedelta(0):
        raise ConfigurationError(f"since is {since}, which lies after the DAG run's run_after; drop the minus sign")
    try:
        return _plain_utc(run_after) - since
    except OverflowError:
        raise ConfigurationError(f"since is {since}, which is before the year 1; give a shorter duration") from None


def default_since(job: MonitoredJob, run_after: datetime) -> datetime:
    """The default `since` of a sensor: the start of the slot that `run_after` falls into.

    A run may start up to `early` before its slot and still count for it, so the wait starts that much earlier. Without
    a schedule, it is `run_after` less `every`.
    """
    slot = job.latest_slot(_plain_utc(run_after))
    return slot if job.schedule is None else slot - job.earliness


def shortfall(run: Run, min_records: int | None) -> str | None:
    """Why a finished run is not good, in one line; None where it is. A run without a record count updated 0 records."""
    if run.status == FAILED:
        error = " ".join((run.error_message or "").split())
        return f"failed: {error[:_QUOTED]}" if error else "failed without an error message"
    if min_records is not None and (run.records_updated or 0) < min_records:
        logged = "no record count" if run.records_updated is None else f"{run.records_updated} records"
        return f"logged {logged}, below min_records={min_records}"
    return None


def _read(text: str) -> datetime | timedelta:
    for read in (parse_moment, parse_duration):
        try:
            return read(text)
        except ConfigurationError:
            continue
    raise ConfigurationError(
        f"since is {text[:60]!r}, which is neither a time nor a duration; "
        "write it like 2025-11-13T02:00:00Z or 2h, and check what its template renders to"
    )


def _plain_utc(moment: datetime) -> datetime:
    """A plain datetime in UTC, also from the subclasses that Airflow hands out."""
    aware = parse_moment(moment.isoformat())
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
