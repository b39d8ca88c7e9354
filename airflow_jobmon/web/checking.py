"""The hourly check, called from outside: one at a time, in a thread of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from anyio import CapacityLimiter, to_thread

from airflow_jobmon.core.health import health_report
from airflow_jobmon.dispatch import deliver
from airflow_jobmon.judging import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.postgres.verdicts import unjudged
from airflow_jobmon.web.configured import current_conninfo, current_settings


class Checks:
    """Whoever calls while another check runs waits for his turn."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None

    async def check_and_tell(self, job_name: str | None) -> dict[str, Any]:
        """Check, record, deliver what is due; the shape of health.

        Raises UnknownJob for a name nobody knows, ConnectionProblem or SchemaProblem where nothing can be checked.
        """
        if self._limiter is None:  # belongs to the running loop
            self._limiter = CapacityLimiter(1)
        return await to_thread.run_sync(_check, job_name, limiter=self._limiter)


def _check(job_name: str | None) -> dict[str, Any]:
    settings, where = current_settings(), current_conninfo()
    with connect(where) as conn:
        check_schema(conn)
        healths = check_and_record(conn, settings, [job_name] if job_name else None)
        if job_name and not healths:
            raise unjudged(conn, job_name)
        checked_at = datetime.now(UTC)
    deliver(where, settings)
    return health_report(healths, checked_at)
