"""Who may see what: the one module that decides, since Airflow mounts a plugin's app without any authentication."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends

signed_in = Depends(requires_access_view(AccessView.WEBSITE))
"""An Airflow user, by the login's cookie or a bearer token: anonymous is 401, a bad token 403."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every page: no script, nothing from elsewhere, framed by Airflow's own pages only."""
