"""The app that Airflow's API server mounts at /jobmon: routes, and how each kind of trouble is answered."""

from __future__ import annotations

import html
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from airflow_jobmon.errors import JobmonError, UnknownJob
from airflow_jobmon.web.checking import Checks
from airflow_jobmon.web.configured import current_settings
from airflow_jobmon.web.database import Database
from airflow_jobmon.web.health_routes import health_routes
from airflow_jobmon.web.job_page import job_page
from airflow_jobmon.web.metrics_routes import metrics_routes
from airflow_jobmon.web.security import HEADERS, page_reader, show_the_login
from airflow_jobmon.web.shapes import NO_NUL

DESCRIPTION = """\
The health and the figures of jobs that run outside Airflow. Every route needs an Airflow user's token, or, for data,
the machine token of the option `api_token` in section `[jobmon]`, as `Authorization: Bearer ...`.
"""


def make_app() -> FastAPI:
    app = FastAPI(title="airflow_jobmon", description=DESCRIPTION, docs_url=None, redoc_url=None, openapi_url=None)
    database, checks = Database(), Checks()
    app.add_exception_handler(HTTPException, show_the_login)
    for trouble in (JobmonError, psycopg.Error):
        app.add_exception_handler(trouble, _say_trouble)
    app.include_router(health_routes(database, checks))
    app.include_router(metrics_routes(database))

    @app.get("/openapi.json", dependencies=[page_reader], include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get("/", dependencies=[page_reader], include_in_schema=False)
    async def job(job_name: Annotated[str, Query(min_length=1, max_length=2000, pattern=NO_NUL)]) -> HTMLResponse:
        def read(conn: psycopg.Connection[Any]) -> HTMLResponse:
            return HTMLResponse(job_page(conn, current_settings(), job_name), headers=HEADERS)

        return await database.run(read)

    return app


async def _say_trouble(request: Request, error: Exception) -> Response:
    """In one line, as a page to a browser and as JSON to a program."""
    status = 404 if isinstance(error, UnknownJob) else 503
    if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.OperationalError):
        status = 500
    message = str(error).split("\n", 1)[0]
    if "text/html" not in request.headers.get("Accept", "") and not request.url.path.endswith("/jobmon/"):
        return JSONResponse({"detail": message}, status_code=status)
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><title>jobmon</title><p>{html.escape(message)}",
        status_code=status,
        headers=HEADERS,
    )
