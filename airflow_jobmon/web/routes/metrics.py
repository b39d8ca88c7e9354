"""Metrics for dashboards: of one job as JSON, of all jobs for Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from airflow_jobmon.core.rendering.prometheus_text import CLASSIC, OPENMETRICS, wants_openmetrics, write_metrics
from airflow_jobmon.metrics.job_metrics import job_metrics
from airflow_jobmon.metrics.prometheus import gauges
from airflow_jobmon.web.cached_settings import current_settings
from airflow_jobmon.web.database import Database
from airflow_jobmon.web.routes.responses import OF_JOB_METRICS, OF_METRICS
from airflow_jobmon.web.routes.schemas import NO_NUL
from airflow_jobmon.web.security import data_reader


def metrics_routes(database: Database) -> APIRouter:
    router = APIRouter(tags=["metrics"])

    @router.get(
        "/job-metrics",
        dependencies=[data_reader],
        responses=OF_JOB_METRICS,
    )
    async def job_metrics_of(
        job_name: Annotated[str, Query(min_length=1, max_length=2000, pattern=NO_NUL, examples=["nightly-invoices"])],
        days: Annotated[int, Query(ge=1, le=400, description="How far back, in days")] = 30,
    ) -> JSONResponse:
        """One job's health, summary, days and recent runs, for Grafana, Metabase and similar tools."""

        def read(conn: psycopg.Connection[Any]) -> dict[str, Any]:
            return job_metrics(conn, current_settings(), job_name, days=days, now=datetime.now(UTC))

        return JSONResponse(await database.run(read), headers={"Cache-Control": "no-store"})

    @router.get(
        "/metrics",
        dependencies=[data_reader],
        response_class=Response,
        responses=OF_METRICS,
    )
    async def metrics(request: Request) -> Response:
        """All jobs, incidents, deliveries and watchers for Prometheus; OpenMetrics if Accept prefers it."""
        openmetrics = wants_openmetrics(",".join(request.headers.getlist("Accept")))

        def read(conn: psycopg.Connection[Any]) -> bytes:
            return write_metrics(gauges(conn), openmetrics=openmetrics).encode()

        content = await database.run(read)
        return Response(
            content,
            media_type=None,
            headers={"Content-Type": OPENMETRICS if openmetrics else CLASSIC, "Cache-Control": "no-store"},
        )

    return router
