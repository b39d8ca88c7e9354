"""The OpenAPI document, with every status that a data route can return."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from airflow_jobmon.web.routes import examples
from airflow_jobmon.web.routes.schemas import SHAPES, HealthReport, Metrics, Problem, WrongParameters

Responses = dict[int | str, dict[str, Any]]


def describe(app: FastAPI, root_path: str) -> dict[str, Any]:
    """The OpenAPI document of an app that is mounted at `root_path`.

    Examples are added here, since FastAPI drops null values from them.
    """
    document: dict[str, Any] = {**app.openapi(), "servers": [{"url": root_path or "/"}]}
    components = document["components"]
    components["examples"] = {name: {"value": value} for name, value in examples.ANSWERS.items()}
    for shape, shown in SHAPES.items():
        components["schemas"][shape.__name__]["examples"] = shown
    return document


def _json(model: Any, description: str, *shown: str) -> dict[str, Any]:
    return {"model": model, "description": description, "content": {"application/json": _examples(*shown)}}


def _text(shown: str) -> dict[str, Any]:
    return {"schema": {"type": "string"}, **_examples(shown)}


def _examples(*shown: str) -> dict[str, Any]:
    return {"examples": {name: {"$ref": f"#/components/examples/{name}"} for name in shown}}


_OF_ALL: Responses = {
    302: {"description": "To the login: no user is signed in, and `Accept` names text/html, as a browser's does"},
    401: _json(Problem, "No token was sent", "no-token"),
    403: _json(Problem, "The token is wrong, or its user lacks permission", "wrong-token"),
    500: _json(Problem, "The database refused the query: a privilege or an object is missing", "refused"),
    503: _json(Problem, "The database is unavailable, is busy, or has another schema version", "away"),
}
_OF_ONE_JOB: Responses = {
    404: _json(Problem, "The job is neither registered nor in the log", "unknown-job"),
    422: _json(WrongParameters, "A parameter is invalid", "wrong-parameter"),
}

OF_HEALTH: Responses = {
    **_OF_ALL,
    **_OF_ONE_JOB,
    200: _json(HealthReport, "Nothing is critical", "ok"),
    503: _json(HealthReport | Problem, "A job is critical, or the health is unknown", "critical", "away"),
}
OF_JOB_METRICS: Responses = {**_OF_ALL, **_OF_ONE_JOB, 200: _json(Metrics, "The job's metrics", "metrics")}
OF_METRICS: Responses = {
    **_OF_ALL,
    200: {
        "description": "Prometheus text format, or OpenMetrics if `Accept` prefers it",
        "content": {
            "text/plain": _text("prometheus"),
            "application/openmetrics-text": _text("openmetrics"),
        },
    },
}
