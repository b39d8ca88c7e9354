"""The hourly check, called from outside: one at a time, in a thread of its own."""

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
from airflow_jobmon.postgres.stored_health import unjudged
from airflow_jobmon.runtime.deliver import deliver
from airflow_jobmon.web.cached_settings import current_conninfo, current_settings

_PATIENCE = 25
"""Seconds until a caller is answered, whatever goes on: cron services give up after 30."""


class Checks:
    """Whoever calls while another check runs waits for his turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobmon-check")

    async def check_and_tell(self, job_name: str | None) -> dict[str, Any]:
        """Check, record, deliver what is due; the shape of health.

        A delivery that takes longer than the caller has patience goes on without him. Raises UnknownJob for a name
        nobody knows, JobNotEvaluated for a disabled job, BusyProblem where other checks took all the time,
        ConnectionProblem where nothing can be checked.
        """
        loop = asyncio.get_running_loop()
        checked: asyncio.Future[dict[str, Any]] = loop.create_future()

        def tell(report: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(checked.set_result, report)

        done = loop.run_in_executor(self._thread, _check, job_name, tell)
        await asyncio.wait({done}, timeout=_PATIENCE)
        if done.done():
            await done
        elif not checked.done():
            done.cancel()  # takes back what has not begun; a check that has goes on
            raise BusyProblem(f"the check was not done within {_PATIENCE} s, this one or one before it; it goes on")
        return await checked


def _check(job_name: str | None, tell: Callable[[dict[str, Any]], None]) -> None:
    settings, where = current_settings(), current_conninfo()
    with connect(where) as conn:
        healths = check_and_record(conn, settings, [job_name] if job_name else None)
        if job_name and not healths:
            raise unjudged(conn, job_name)
        checked_at = datetime.now(UTC)
    tell(health_report(healths, checked_at))
    deliver(where, settings)
