"""The `[jobmon]` section of Airflow's configuration, read when used, never at import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

UNREGISTERED = ("learn", "defaults", "ignore")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the whole installation shares; a field of the same name on a job beats it.

    jobs_log_columns: our column name to theirs. status_words: our word to the words their log uses.
    base_url: Airflow's own address, with its path, without a trailing slash; None where it is not configured.
    """

    conn_id: str = "jobmon_default"
    jobs_log_table: str = "public.jobs_log"
    jobs_log_columns: Mapping[str, str] = field(default_factory=dict)
    status_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    unregistered_jobs: str = "learn"
    sweep_interval: timedelta = timedelta(seconds=30)
    realert_interval: timedelta = timedelta(hours=24)
    api_token: str | None = None
    heartbeat_conn_id: str | None = None
    base_url: str | None = None
