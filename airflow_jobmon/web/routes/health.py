"""check-job-health: the health of jobs, for people, load balancers, uptime checks and cron services."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.monitoring.checks import require_known
from airflow_jobmon.postgres.stored_health import StoredHealth, stored_health, why_not_evaluated
from airflow_jobmon.web.cached_settings import current_settings
from airflow_jobmon.web.check_runner import CheckRunner
from airflow_jobmon.web.database import Database
from airflow_jobmon.web.routes.responses import OF_HEALTH
from airflow_jobmon.web.routes.schemas import NO_NUL
from airflow_jobmon.web.security import data_changer, data_reader

JobName = Annotated[
    str | None,
    Query(min_length=1, max_length=2000, pattern=NO_NUL, description="Only this job", examples=["nightly-invoices"]),
]


def health_routes(database: Database, checks: CheckRunner) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.head("/check-job-health", dependencies=[data_reader], include_in_schema=False)  # as uptime services ask
    @router.get("/check-job-health", dependencies=[data_reader], responses=OF_HEALTH)
    async def check_job_health(job_name: JobName = None) -> JSONResponse:
        """The health stored by the last check; changes nothing.

        503 if a job is critical or the health is unknown (the database is unavailable, the last check is over two hours
        old, the job is not evaluated, there are no jobs), so that `curl -f` fails when it should; else 200.
        `checked_at` is the time of the check.
        """

        def read(conn: psycopg.Connection[Any]) -> StoredHealth:
            stored = stored_health(conn, job_name)
            if job_name is not None and not stored.report["jobs"]:
                require_known(conn, current_settings(), [job_name])
                raise why_not_evaluated(conn, job_name)
            return stored

        stored = await database.run(read)
        return _respond(stored.report, known=stored.complete)

    @router.post("/check-job-health", dependencies=[data_changer], responses=OF_HEALTH)
    async def check_job_health_now(job_name: JobName = None) -> JSONResponse:
        """Check now, as the hourly DAG does: open and resolve incidents, and send alerts. Safe to call often."""
        await database.run(_reach)  # fails within a second; the check itself would wait longer
        return _respond(await checks.check(job_name), known=True)

    return router


def _reach(_conn: psycopg.Connection[Any]) -> None:
    """Do nothing: being connected to the right schema is enough."""


def _respond(report: dict[str, Any], *, known: bool) -> JSONResponse:
    bad = not known or Health(report["status"]) is Health.CRITICAL or not report["jobs"]
    return JSONResponse(report, status_code=503 if bad else 200, headers={"Cache-Control": "no-store"})
