"""Is everything all right? For people, load balancers, and cron services that call each hour."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.monitoring.checks import require_known
from airflow_jobmon.postgres.stored_health import StoredHealth, stored_health, unjudged
from airflow_jobmon.web.cached_settings import current_settings
from airflow_jobmon.web.check_runner import Checks
from airflow_jobmon.web.database import Database
from airflow_jobmon.web.routes.responses import OF_HEALTH
from airflow_jobmon.web.routes.schemas import NO_NUL
from airflow_jobmon.web.security import data_changer, data_reader

JobName = Annotated[
    str | None,
    Query(min_length=1, max_length=2000, pattern=NO_NUL, description="Only this job", examples=["nightly-invoices"]),
]


def health_routes(database: Database, checks: Checks) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.head("/check-job-health", dependencies=[data_reader], include_in_schema=False)  # as uptime services ask
    @router.get("/check-job-health", dependencies=[data_reader], responses=OF_HEALTH)
    async def check_job_health(job_name: JobName = None) -> JSONResponse:
        """The verdicts as they were stored last; changes nothing.

        503 where something is critical or it cannot be told (the database is away, nobody has checked for two hours,
        nobody judges that job, there are no jobs), so that `curl -f` fails when it should; else 200. `checked_at` says
        when the verdicts were made.
        """

        def read(conn: psycopg.Connection[Any]) -> StoredHealth:
            stored = stored_health(conn, job_name)
            if job_name is not None and not stored.report["jobs"]:
                require_known(conn, current_settings(), [job_name])
                raise unjudged(conn, job_name)
            return stored

        stored = await database.run(read)
        return _answer(stored.report, told=stored.complete)

    @router.post("/check-job-health", dependencies=[data_changer], responses=OF_HEALTH)
    async def check_job_health_now(job_name: JobName = None) -> JSONResponse:
        """Check now as the hourly DAG does: incidents are opened and closed, and alerts go out. Safe to call often."""
        await database.run(_reach)  # within a second, where a check would wait longer
        return _answer(await checks.check_and_tell(job_name), told=True)

    return router


def _reach(_conn: psycopg.Connection[Any]) -> None:
    """Nothing but to be connected to the right schema."""


def _answer(report: dict[str, Any], *, told: bool) -> JSONResponse:
    bad = not told or Health(report["status"]) is Health.CRITICAL or not report["jobs"]
    return JSONResponse(report, status_code=503 if bad else 200, headers={"Cache-Control": "no-store"})
