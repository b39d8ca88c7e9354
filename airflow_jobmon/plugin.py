"""What Airflow's plugin discovery reads."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class JobmonPlugin(AirflowPlugin):
    """Mounts our pages at /jobmon. The app is made when it is asked for: FastAPI takes seconds to import."""

    name = "jobmon"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow declares a plain list
        from airflow_jobmon.web.app import make_app  # noqa: PLC0415

        return [{"app": make_app(), "url_prefix": "/jobmon", "name": "jobmon"}]
