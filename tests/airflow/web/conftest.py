"""Airflow's whole API application with our plugin in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def client(airflow_home) -> Iterator[tuple[Any, dict[str, str]]]:
    """A client of the application, with the headers of a signed-in viewer."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "0123456789abcdef" * 5)
        from airflow.api_fastapi.app import create_app
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        app = create_app()
        token = app.state.auth_manager.generate_jwt(SimpleAuthManagerUser(username="eva", role="viewer"))
        with TestClient(app) as made:
            yield made, {"Authorization": f"Bearer {token}"}
        next(route.app for route in app.routes if route.path == "/jobmon").state.database.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer timeout, so that a busy machine does not make the database look unavailable."""
    from airflow_jobmon.web import database

    monkeypatch.setattr(database, "_PATIENCE", 20)


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    """Forget cached settings, since each test has its own settings and database."""
    from airflow_jobmon.web.cached_settings import forget

    forget()
    yield
    forget()
