"""The app that Airflow's API server mounts at /jobmon: its routes and error handlers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import psycopg
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response

from airflow_jobmon.errors import JobmonError, UnknownJob
from airflow_jobmon.web.cached_settings import current_settings
from airflow_jobmon.web.check_runner import CheckRunner
from airflow_jobmon.web.database import Database
from airflow_jobmon.web.page.error_page import answer_error, refuse, refuse_parameters, unknown_job
from airflow_jobmon.web.page.job import job_page
from airflow_jobmon.web.page.overview import Wanted, overview
from airflow_jobmon.web.page.rendering import serve_static
from airflow_jobmon.web.page.runbook import runbook_page
from airflow_jobmon.web.routes.health import health_routes
from airflow_jobmon.web.routes.metrics import metrics_routes
from airflow_jobmon.web.routes.responses import describe
from airflow_jobmon.web.routes.schemas import NO_NUL
from airflow_jobmon.web.security import page_reader

DESCRIPTION = """\
Health and metrics of jobs that run outside Airflow. Every route needs an Airflow user's token or, for data, the machine
token `[jobmon] api_token`, sent as `Authorization: Bearer ...`. Errors are JSON, or a page if `Accept` includes
text/html.
"""


def make_app() -> FastAPI:
    app = FastAPI(title="airflow_jobmon", description=DESCRIPTION, docs_url=None, redoc_url=None, openapi_url=None)
    database, checks = Database(), CheckRunner()
    app.state.database = database
    app.add_exception_handler(HTTPException, refuse)
    app.add_exception_handler(RequestValidationError, refuse_parameters)
    for error in (JobmonError, psycopg.Error):
        app.add_exception_handler(error, answer_error)
    app.include_router(health_routes(database, checks))
    app.include_router(metrics_routes(database))

    @app.get("/openapi.json", dependencies=[page_reader], include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(describe(app, request.scope["root_path"]))

    @app.get("/", dependencies=[page_reader], include_in_schema=False)
    async def page_or_job(
        job_name: Annotated[str | None, Query(min_length=1, max_length=2000, pattern=NO_NUL)] = None,
        q: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
        health: Literal["", "critical", "warning", "unknown", "ok"] = "",
        page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    ) -> HTMLResponse:
        def read(conn: psycopg.Connection[Any]) -> HTMLResponse:
            if job_name is None:
                return overview(conn, Wanted(q, health, page))
            try:
                return job_page(conn, current_settings(), job_name)
            except UnknownJob as error:
                return unknown_job(conn, job_name, error)

        return await database.run(read)

    @app.get("/runbook", dependencies=[page_reader], include_in_schema=False)
    async def runbook() -> HTMLResponse:
        return runbook_page()

    @app.get("/static/page.css", dependencies=[page_reader], include_in_schema=False)
    async def style() -> Response:
        return serve_static("page.css")

    @app.get("/static/page.js", dependencies=[page_reader], include_in_schema=False)
    async def script() -> Response:
        return serve_static("page.js")

    return app
