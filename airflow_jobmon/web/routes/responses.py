"""Every status that a data route can answer with, as OpenAPI shows it; and the document that is made of that."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from airflow_jobmon.web.routes import examples
from airflow_jobmon.web.routes.schemas import SHAPES, HealthReport, Metrics, Problem, WrongParameters

Answers = dict[int | str, dict[str, Any]]


def describe(app: FastAPI, root_path: str) -> dict[str, Any]:
    """The OpenAPI document of an app that is mounted at `root_path`.

    Examples are put in here, since FastAPI takes what is null for not given and leaves it out of them.
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


_OF_ALL: Answers = {
    302: {"description": "To the login: nobody is signed in, and `Accept` names text/html, as a browser's does"},
    401: _json(Problem, "No token was sent", "no-token"),
    403: _json(Problem, "The token is wrong, or its user may not look", "wrong-token"),
    500: _json(Problem, "The database refuses what was asked: a right or an object is missing", "refused"),
    503: _json(Problem, "The database is away, is busy, or has another schema", "away"),
}
_OF_ONE_JOB: Answers = {
    404: _json(Problem, "Nobody knows that job", "unknown-job"),
    422: _json(WrongParameters, "A parameter is wrong", "wrong-parameter"),
}

OF_HEALTH: Answers = {
    **_OF_ALL,
    **_OF_ONE_JOB,
    200: _json(HealthReport, "Nothing is critical", "ok"),
    503: _json(HealthReport | Problem, "Something is critical, or it cannot be told", "critical", "away"),
}
OF_JOB_METRICS: Answers = {**_OF_ALL, **_OF_ONE_JOB, 200: _json(Metrics, "The job's figures", "metrics")}
OF_METRICS: Answers = {
    **_OF_ALL,
    200: {
        "description": "Prometheus' text, or OpenMetrics where `Accept` prefers it",
        "content": {
            "text/plain": _text("prometheus"),
            "application/openmetrics-text": _text("openmetrics"),
        },
    },
}
