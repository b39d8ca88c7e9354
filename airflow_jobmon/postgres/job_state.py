"""What is stored of a job besides its incidents, as evaluations read it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, job_by_defaults
from airflow_jobmon.core.model.health import Finding, Window
from airflow_jobmon.core.schedule.learned import LearnedSchedule, read_learned_schedule
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.registry import read_stored_job

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobState:
    """What is stored of a job besides its incidents.

    job: its registry entry, or the defaults. known_since: when it was registered, or first seen. first_seen_at: the
    installation itself for a job that the log held then. found_started_at: when the newest run that the log held then
    started; None where that was not stored. scheduled_since: when its schedule last changed; None if it never did.
    window: as it was last counted. learned_schedule: what its starts showed while it was not registered. trends: what
    got worse, by the days before trends_on.
    """

    job: MonitoredJob
    registered: bool
    known_since: datetime
    first_seen_at: datetime
    scheduled_since: datetime | None
    window: Window | None
    learned_schedule: LearnedSchedule | None
    trends: tuple[Finding, ...] = ()
    trends_on: date | None = None
    found_started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateRow:
    """A row of the queries `lock_states` and `read_states`."""

    job_name: str
    first_seen_at: datetime
    window_finished: int | None
    window_succeeded: int | None
    config: str | None
    registered_at: datetime | None
    scheduled_since: datetime | None
    rhythm: str | None
    trends: str | None
    trends_on: date | None
    found_started_at: datetime | None


def read_state(row: StateRow) -> JobState:
    registered = _registered_job(row)
    job = _defaults(row.job_name) if registered is None else registered
    window = None
    if row.window_finished is not None and row.window_succeeded is not None:
        window = Window(job.window_days, row.window_finished, row.window_succeeded)
    return JobState(
        job=job,
        registered=registered is not None,
        known_since=row.registered_at or row.first_seen_at,
        first_seen_at=row.first_seen_at,
        scheduled_since=row.scheduled_since,
        window=window,
        learned_schedule=_learned_schedule(row.rhythm),
        trends=_trends(row.trends),
        trends_on=row.trends_on,
        found_started_at=row.found_started_at,
    )


def _registered_job(row: StateRow) -> MonitoredJob | None:
    """The job's registry entry; None where there is none, or where it cannot be read here, which is logged."""
    if row.config is None:
        return None
    try:
        return read_stored_job(row.config)
    except ConfigurationError as error:  # stored by another host or version, such as a zone unknown here
        log.error("cannot read the registry entry of job %.200r: %s", row.job_name, error)  # noqa: TRY400
        return None


@lru_cache(maxsize=20_000)
def _learned_schedule(stored: str | None) -> LearnedSchedule | None:
    return None if stored is None else read_learned_schedule(json.loads(stored))


@lru_cache(maxsize=20_000)
def _trends(stored: str | None) -> tuple[Finding, ...]:
    return () if stored is None else tuple(Finding.from_stored(found) for found in json.loads(stored))


@lru_cache(maxsize=20_000)
def _defaults(job_name: str) -> MonitoredJob:
    return job_by_defaults(job_name)
