"""The app that Airflow's API server mounts at /jobmon."""

from __future__ import annotations

import html
from typing import Annotated

import psycopg
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse

from airflow_jobmon import settings as configuration
from airflow_jobmon.connections import conninfo
from airflow_jobmon.errors import JobmonError, UnknownJob
from airflow_jobmon.web.job_page import job_page
from airflow_jobmon.web.security import HEADERS, show_the_login, signed_in

_AT_ONCE = 4
"""Pages made at the same time; the rest wait, so that a slow database never takes up the API server's own threads."""


def make_app() -> FastAPI:
    app = FastAPI(title="jobmon", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[signed_in])
    app.add_exception_handler(HTTPException, show_the_login)
    limiter = CapacityLimiter(_AT_ONCE)

    @app.get("/")
    async def job(job_name: Annotated[str, Query(min_length=1, max_length=2000)]) -> HTMLResponse:
        return await to_thread.run_sync(_answer, job_name, limiter=limiter)

    return app


def _answer(job_name: str) -> HTMLResponse:
    try:
        settings = configuration.load()
        return HTMLResponse(job_page(conninfo(settings.conn_id), settings, job_name), headers=HEADERS)
    except UnknownJob as error:
        return _refusal(404, str(error))
    except (JobmonError, psycopg.Error) as error:
        return _refusal(503, str(error).split("\n", 1)[0])


def _refusal(status: int, message: str) -> HTMLResponse:
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><title>jobmon</title><p>{html.escape(message)}",
        status_code=status,
        headers=HEADERS,
    )
