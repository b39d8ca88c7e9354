"""Runs the hourly check for a caller over HTTP: one at a time, in its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from airflow_jobmon.core.model.health import health_report
from airflow_jobmon.errors import BusyProblem
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.stored_health import why_not_evaluated
from airflow_jobmon.runtime.deliver import deliver
from airflow_jobmon.web.cached_settings import current_conninfo, current_settings

_PATIENCE = 25
"""Seconds until the caller gets a response, finished or not: cron services give up after 30."""


class CheckRunner:
    """Runs one check at a time; a caller waits for its turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobmon-check")

    async def check(self, job_name: str | None) -> dict[str, Any]:
        """Check, record, deliver due alerts; return the health as JSON.

        A delivery that outlasts the caller continues in the background. Raises UnknownJob for a name that is neither
        registered nor in the log, JobNotEvaluated for a disabled job, BusyProblem if other checks took all the time,
        ConnectionProblem if the database is unreachable.
        """
        loop = asyncio.get_running_loop()
        checked: asyncio.Future[dict[str, Any]] = loop.create_future()

        def report_health(report: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(checked.set_result, report)

        done = loop.run_in_executor(self._thread, _check, job_name, report_health)
        await asyncio.wait({done}, timeout=_PATIENCE)
        if done.done():
            await done
        elif not checked.done():
            done.cancel()  # cancels a check that has not started; a running one continues
            raise BusyProblem(f"this check, or the one before it, did not finish within {_PATIENCE} s; it continues")
        return await checked


def _check(job_name: str | None, report_health: Callable[[dict[str, Any]], None]) -> None:
    settings, where = current_settings(), current_conninfo()
    with connect(where) as conn:
        healths = check_and_record(conn, settings, [job_name] if job_name else None)
        if job_name and not healths:
            raise why_not_evaluated(conn, job_name)
        checked_at = datetime.now(UTC)
    report_health(health_report(healths, checked_at))
    deliver(where, settings)
