"""Error pages: an unknown job, an unavailable database, a missing permission."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import psycopg
from fastapi import HTTPException, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response

from airflow_jobmon.errors import BusyProblem, DatabaseUnavailable, JobmonError, SchemaProblem, UnknownJob
from airflow_jobmon.postgres.dashboard import all_names
from airflow_jobmon.web.page.rendering import render, render_alone
from airflow_jobmon.web.security import of_airflow, show_the_login

log = logging.getLogger(__name__)

_AGAIN = "This page retries every 30 seconds."
_DOCTOR = "To find the cause, run `airflow jobmon doctor`."


class _ErrorText(NamedTuple):
    title: str
    message: str
    advice: str = ""
    status: int = 503


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer a JobmonError or a database error: as a page for a person, as JSON for a program."""
    shown = _ours(error) if isinstance(error, JobmonError) else _theirs(error)
    if not _is_for_a_person(request):
        return JSONResponse({"detail": shown.message}, status_code=shown.status)
    return _page(*shown, retry=shown.status == 503)


def _ours(error: JobmonError) -> _ErrorText:
    match error:
        case UnknownJob():
            return _ErrorText("Job not found", str(error), status=404)
        case BusyProblem():
            return _ErrorText("The request took too long", str(error), _AGAIN)
        case DatabaseUnavailable():
            return _ErrorText("The database is unavailable", str(error), f"{_AGAIN} {_DOCTOR}")
        case SchemaProblem():
            return _ErrorText("The database is not ready", str(error))
    return _ErrorText("The job log cannot be read", str(error))


def _theirs(error: Exception) -> _ErrorText:
    """Answer an error of the database; its own words go to the log only."""
    log.error("the job log's database reported an error", exc_info=error)
    match error:
        case psycopg.errors.QueryCanceled() | psycopg.errors.LockNotAvailable():
            return _ErrorText("The request took too long", "the query took too long and was cancelled", _AGAIN)
        case psycopg.OperationalError():
            return _ErrorText(
                "The database is unavailable",
                "the connection was lost",
                f"{_AGAIN} {_DOCTOR}",
            )
    code = getattr(error, "sqlstate", None) or "none"
    return _ErrorText(
        "The database refused the query",
        f"the job log's database refused the query (SQLSTATE {code}); the API server's log has the details",
        _DOCTOR,
        status=500,
    )


def unknown_job(conn: psycopg.Connection[Any], job_name: str, error: UnknownJob) -> HTMLResponse:
    """404, with similar names."""
    # A job whose runs were deleted stays listed for a while.
    others = [name for name in all_names(conn) if name != job_name]
    near = get_close_matches(job_name[:200], others, n=5, cutoff=0.5)
    return _page("Job not found", str(error), "", status=404, near=near)


async def refuse(request: Request, error: Exception) -> Response:
    """Redirect to the login without a user; explain a missing permission to a signed-in user."""
    if isinstance(error, HTTPException) and error.status_code == 403 and _is_for_a_person(request):
        return render_alone(
            "error",
            status=403,
            title="You do not have access to this page",
            message="Your user lacks permission to see Airflow's website, or the login is not valid.",
            advice="Sign in again, or ask an administrator for access; docs/page.md names the permission.",
            near=[],
            retry=False,
            sign_in=of_airflow(request, "api/v2/auth/logout"),
        )
    return await show_the_login(request, error)


async def refuse_parameters(request: Request, error: Exception) -> Response:
    """422: as a page for a browser, as JSON for a program."""
    if not isinstance(error, RequestValidationError):
        raise error
    if not _is_for_a_person(request):
        return await request_validation_exception_handler(request, error)
    mistakes = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
    return _page("The address has an invalid parameter", mistakes, "", status=422)


def _page(
    title: str, message: str, advice: str, status: int, *, near: Sequence[str] = (), retry: bool = False
) -> HTMLResponse:
    return render(
        "error", status=status, title=title, message=message, advice=advice, near=near, retry=retry, sign_in=""
    )


def _is_for_a_person(request: Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") or request.url.path.endswith("/jobmon/")
