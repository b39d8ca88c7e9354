"""A sweep in progress: one batch of jobs at each step, and what remains to be done between two steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import psycopg

from airflow_jobmon.monitoring.checks import Checked, Evaluated, full_check, keep_up, sweep
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.postgres.watchers import full_check_is_overdue, remove_stale_watchers
from airflow_jobmon.settings import Settings

_SEALING = timedelta(seconds=0.2)
"""The time a sweep spends on counting days that are over: a failure waits no longer than this for it."""


class SweepStage(Enum):
    """What a sweep does next."""

    CHANGED_JOBS = auto()
    """Evaluate the jobs that have new runs or reached a deadline."""
    FULL_CHECK = auto()
    """Evaluate all jobs and count their success rates, in place of an hourly check that no DAG makes."""
    UPKEEP = auto()
    """Remove stale watchers, count days that are over."""
    DONE = auto()


class SweepProgress:
    """One sweep. Call `run_step` until `stage` is DONE; between two steps it holds no lock."""

    def __init__(self, conn: psycopg.Connection[Any], settings: Settings) -> None:
        self.stage = SweepStage.CHANGED_JOBS
        self._conn = conn
        self._settings = settings
        self._batches: Iterator[Evaluated | Checked] = sweep(conn, settings)

    def run_step(self) -> int:
        """Evaluate the next batch of jobs and return the number of its alerts; after the last batch, finish."""
        while self.stage in {SweepStage.CHANGED_JOBS, SweepStage.FULL_CHECK}:
            batch = next(self._batches, None)
            if batch is not None:
                return batch.alerts
            self._begin_next_stage()
        remove_stale_watchers(self._conn)
        seal_days(self._conn, most=_SEALING)
        self.stage = SweepStage.DONE
        return 0

    def _begin_next_stage(self) -> None:
        if self.stage is SweepStage.CHANGED_JOBS and full_check_is_overdue(self._conn):
            self.stage, self._batches = SweepStage.FULL_CHECK, full_check(self._conn, self._settings)
            return
        if self.stage is SweepStage.FULL_CHECK:
            keep_up(self._conn)
        self.stage = SweepStage.UPKEEP
