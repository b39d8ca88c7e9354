"""What is stored of a job besides its incidents, as its judges read it."""

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
    """What is stored of a job: its registry entry (or the defaults), since when we know it, its last counted window.

    first_seen_at: when we first saw it; at the installation itself, where the log had it by then.
    found_started_at: when the newest run started that the log had by then; None where that was not noted.
    scheduled_since: since when its schedule is this one; None where it always was.
    learned_schedule: what its starts showed while it was not registered.
    trends: what got worse about it, by the days before trends_on.
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


def read_state(  # noqa: PLR0917 - a row of the query, column by column
    job_name: str,
    first_seen_at: datetime,
    finished: int | None,
    succeeded: int | None,
    config: str | None,
    registered_at: datetime | None,
    scheduled_since: datetime | None,
    rhythm: str | None,
    trends: str | None,
    trends_on: date | None,
    found_started_at: datetime | None,
) -> JobState:
    """From a row of `lock_states` or `read_states`; a registry entry that cannot be read here leaves the defaults."""
    try:
        job = read_stored_job(config) if config is not None else _defaults(job_name)
    except ConfigurationError as error:  # stored by another host or version, such as a zone unknown here
        log.error("the registry entry of job %.200r cannot be read here: %s", job_name, error)  # noqa: TRY400
        job, config = _defaults(job_name), None
    window = Window(job.window_days, finished, succeeded) if finished is not None and succeeded is not None else None
    return JobState(
        job,
        config is not None,
        registered_at or first_seen_at,
        first_seen_at,
        scheduled_since,
        window,
        _learned_schedule(rhythm),
        _trends(trends),
        trends_on,
        found_started_at,
    )


@lru_cache(maxsize=20_000)
def _learned_schedule(stored: str | None) -> LearnedSchedule | None:
    return None if stored is None else read_learned_schedule(json.loads(stored))


@lru_cache(maxsize=20_000)
def _trends(stored: str | None) -> tuple[Finding, ...]:
    return () if stored is None else tuple(Finding.from_stored(found) for found in json.loads(stored))


@lru_cache(maxsize=20_000)
def _defaults(job_name: str) -> MonitoredJob:
    return job_by_defaults(job_name)
