"""What Airflow's provider discovery reads; imported by every Airflow process, so it imports nothing."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    return {
        "package-name": "airflow-provider-jobmon",
        "name": "Jobmon",
        "description": "Watches jobs that run outside Airflow and log a row per run in a Postgres table.",
    }
