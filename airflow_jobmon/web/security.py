"""Authentication and authorization, all in this module, since Airflow mounts a plugin's app without either.

There are two kinds of routes. A page is for people: an Airflow user, by the login's cookie or a bearer token. Data is
for programs too: an Airflow user, or the machine token `[jobmon] api_token` as bearer; that token opens no page. A
cookie alone never changes anything, since another site could make a browser send it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import get_user, requires_access_view, resolve_user_from_token
from fastapi import Depends, HTTPException, Request, Response, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.web.cached_settings import current_settings

page_reader = Depends(requires_access_view(AccessView.WEBSITE))
"""An Airflow user who may see the website: anonymous is 401, a bad token 403."""

_bearer = HTTPBearer(
    auto_error=False,
    description="An Airflow user's token (`POST /auth/token`), or the machine token `[jobmon] api_token`. Read-only "
    "routes also accept the cookie `_token` of Airflow's login.",
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def _read_data(request: Request, bearer: Bearer) -> None:
    if bearer is not None and _is_machine_token(bearer.credentials):
        return
    # Airflow before 3.3 uses the cookie's user even if a token is sent.
    user = await (resolve_user_from_token(bearer.credentials) if bearer else get_user(request, None, None))
    requires_access_view(AccessView.WEBSITE)(request, user)


async def _change_data(request: Request, bearer: Bearer) -> None:
    if bearer is None:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN if request.cookies else status.HTTP_401_UNAUTHORIZED,
            "this request needs a token, sent as Authorization: Bearer ...; a cookie is not enough",
        )
    await _read_data(request, bearer)


data_reader = Depends(_read_data)
"""The machine token, or an Airflow user who may see the website."""

data_changer = Depends(_change_data)
"""The same, but by the Authorization header only."""


def _is_machine_token(given: str) -> bool:
    """Compare in constant time; false if no token is configured or the settings cannot be read."""
    try:
        configured = current_settings().api_token
    except ConfigurationError:
        return False  # only authenticated callers may see the mistake
    if not configured:
        return False
    return hmac.compare_digest(sha256(given.encode()).digest(), sha256(configured.encode()).digest())


def of_airflow(request: Request, path: str) -> str:
    """The relative URL of a route of Airflow's own, seen from the requested one: Airflow may live under a path."""
    return "../" * request.url.path.removeprefix(request.scope["root_path"]).count("/") + path


async def show_the_login(request: Request, error: Exception) -> Response:
    """Redirect a browser to the login, and from there back; a program gets its 401.

    The way back is a path only: behind a proxy, the browser's address differs from the one seen here.
    """
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == status.HTTP_401_UNAUTHORIZED and "text/html" in request.headers.get("Accept", ""):
        back = f"{request.url.path}?{request.url.query}".rstrip("?")
        login = of_airflow(request, "api/v2/auth/login")
        return RedirectResponse(f"{login}?{urlencode({'next': back})}", status_code=status.HTTP_302_FOUND)
    return await http_exception_handler(request, error)


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every page: scripts and styles from our own files only, framing by Airflow's own pages only."""
