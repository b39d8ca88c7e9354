"""What a person sees where there is nothing to show: an unknown job, a database that is away, no right to look."""

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

from airflow_jobmon.errors import BusyProblem, DatabaseAway, JobmonError, SchemaProblem, UnknownJob
from airflow_jobmon.postgres.dashboard import all_names
from airflow_jobmon.web.page.rendering import render, render_alone
from airflow_jobmon.web.security import of_airflow, show_the_login

log = logging.getLogger(__name__)

_AGAIN = "This page tries again each half minute."
_DOCTOR = "`airflow jobmon doctor` says what is wrong with the database."


class _Trouble(NamedTuple):
    title: str
    message: str
    advice: str = ""
    status: int = 503


async def say_trouble(request: Request, error: Exception) -> Response:
    """A JobmonError or the database's own error: as a page to a person, as JSON to a program."""
    trouble = _ours(error) if isinstance(error, JobmonError) else _theirs(error)
    if not _is_for_a_person(request):
        return JSONResponse({"detail": trouble.message}, status_code=trouble.status)
    return _page(*trouble, retry=trouble.status == 503)


def _ours(error: JobmonError) -> _Trouble:
    match error:
        case UnknownJob():
            return _Trouble("There is no such job", str(error), status=404)
        case BusyProblem():
            return _Trouble("It took too long", str(error), _AGAIN)
        case DatabaseAway():
            return _Trouble("The database is away", str(error), f"{_AGAIN} Where it goes on: {_DOCTOR}")
        case SchemaProblem():
            return _Trouble("The database is not ready", str(error))
    return _Trouble("It cannot be looked at", str(error))


def _theirs(error: Exception) -> _Trouble:
    """What the database said itself goes into the log only."""
    log.error("the job log's database did not do what was asked", exc_info=error)
    match error:
        case psycopg.errors.QueryCanceled() | psycopg.errors.LockNotAvailable():
            return _Trouble("It took too long", "the job log's database took too long and was not waited for", _AGAIN)
        case psycopg.OperationalError():
            return _Trouble("The database is away", "the job log's database went away", f"{_AGAIN} {_DOCTOR}")
    code = getattr(error, "sqlstate", None) or "none"
    return _Trouble(
        "The database refuses what was asked",
        f"the job log's database refuses what was asked (SQLSTATE {code}); the API server's log has the details",
        _DOCTOR,
        status=500,
    )


def unknown_job(conn: psycopg.Connection[Any], job_name: str, error: UnknownJob) -> HTMLResponse:
    """404, with names that look alike."""
    # A job whose runs were deleted is still listed for a while.
    others = [name for name in all_names(conn) if name != job_name]
    near = get_close_matches(job_name[:200], others, n=5, cutoff=0.5)
    return _page("There is no such job", str(error), "", status=404, near=near)


async def refuse(request: Request, error: Exception) -> Response:
    """Who is not signed in is led to the login; who is and may not look is told so."""
    if isinstance(error, HTTPException) and error.status_code == 403 and _is_for_a_person(request):
        return render_alone(
            "trouble",
            status=403,
            title="You may not see this page",
            message="It is shown to those who may see Airflow's website; your user may not, or the login is not valid.",
            advice="Sign in again, or ask an administrator for that right: docs/page.md says which one it is.",
            near=[],
            retry=False,
            sign_in=of_airflow(request, "api/v2/auth/logout"),
        )
    return await show_the_login(request, error)


async def refuse_parameters(request: Request, error: Exception) -> Response:
    """422: as a page where the page was asked for."""
    if not isinstance(error, RequestValidationError):
        raise error
    if not _is_for_a_person(request):
        return await request_validation_exception_handler(request, error)
    said = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
    return _page("The address asks for something that cannot be", said, "", status=422)


def _page(
    title: str, message: str, advice: str, status: int, *, near: Sequence[str] = (), retry: bool = False
) -> HTMLResponse:
    return render(
        "trouble", status=status, title=title, message=message, advice=advice, near=near, retry=retry, sign_in=""
    )


def _is_for_a_person(request: Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") or request.url.path.endswith("/jobmon/")
