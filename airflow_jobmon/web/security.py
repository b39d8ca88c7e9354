"""Who may see what: the one module that decides, since Airflow mounts a plugin's app without any authentication."""

from __future__ import annotations

from urllib.parse import urlencode

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, HTTPException, Request, Response, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import RedirectResponse

signed_in = Depends(requires_access_view(AccessView.WEBSITE))
"""An Airflow user, by the login's cookie or a bearer token: anonymous is 401, a bad token 403."""

LOGIN = "../api/v2/auth/login"
"""Airflow's own login, seen from our pages: relative, since Airflow may live under a path."""


async def show_the_login(request: Request, error: Exception) -> Response:
    """A person who follows a link from Slack is led to the login and back; a program gets its 401."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == status.HTTP_401_UNAUTHORIZED and "text/html" in request.headers.get("Accept", ""):
        return RedirectResponse(f"{LOGIN}?{urlencode({'next': str(request.url)})}", status_code=status.HTTP_302_FOUND)
    return await http_exception_handler(request, error)


HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every page: no script, nothing from elsewhere, framed by Airflow's own pages only."""
