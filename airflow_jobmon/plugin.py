"""The plugin that Airflow discovers: the page in its menu, and the app at /jobmon."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.plugins_manager import AirflowPlugin

_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='{colour}' stroke-width='1.75'"
    " stroke-linecap='round' stroke-linejoin='round'><path d='M3 12h4l3 -8l4 16l3 -8h4' stroke='#fff' stroke-width='5'"
    " stroke-opacity='{halo}'/><path d='M3 12h4l3 -8l4 16l3 -8h4'/></svg>"
)
"""The sidebar icon, in the colours of Airflow's own icons; the halo shows on the dark background of a selected item."""


class JobmonPlugin(AirflowPlugin):
    """Mounts the app at /jobmon. It is made only when Airflow asks for it: FastAPI takes seconds to import."""

    name = "jobmon"

    @property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow declares a plain list
        """The page's entry in Airflow's menu; the API server may be served under a path."""
        from airflow.sdk import conf  # noqa: PLC0415

        base_url = conf.get("api", "base_url", fallback=None) or ""
        return [
            {
                "name": "Jobmon",
                "href": f"{urlsplit(base_url).path.rstrip('/')}/jobmon/",
                "destination": "nav",
                "nav_top_level": True,
                "url_route": "jobmon",
                "icon": _icon("#35475c", halo=0.75),
                "icon_dark_mode": _icon("#d8dfe8", halo=0),
            }
        ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow declares a plain list
        from airflow_jobmon.web.app import make_app  # noqa: PLC0415

        return [{"app": make_app(), "url_prefix": "/jobmon", "name": "jobmon"}]


def _icon(colour: str, *, halo: float) -> str:
    return "data:image/svg+xml," + quote(_ICON.format(colour=colour, halo=halo))
