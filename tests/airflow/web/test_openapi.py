"""The OpenAPI document: its examples are true, and the routes respond as it documents."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, Kind, health_report
from airflow_jobmon.core.times import parse_moment
from airflow_jobmon.metrics.job_metrics import job_metrics
from airflow_jobmon.monitoring.checks import assess_jobs, check_and_record
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from airflow_jobmon.web import database
from airflow_jobmon.web.cached_settings import forget
from airflow_jobmon.web.routes import examples
from airflow_jobmon.web.routes.schemas import FindingKind, Status
from tests.support.logged_runs import log_run
from tests.support.route_access import CHANGES, DATA

ROUTES = sorted(route for route in DATA | CHANGES if route[0] != "HEAD")  # which is GET without a body


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    made, headers = client
    return made.get("/jobmon/openapi.json", headers=headers).json()


@pytest.fixture
def job() -> MonitoredJob:
    """The job of the examples, registered as they say."""
    return MonitoredJob(name=examples.NAME, schedule="0 7 * * *", grace=timedelta(hours=1))


@pytest.fixture
def logged(conn, job) -> Any:
    """The log behind the examples."""
    for run in reversed(examples.RUNS):
        log_run(
            conn,
            examples.NAME,
            run["status"],
            parse_moment(run["started_at"]),
            parse_moment(run["completed_at"]),
            records_updated=run["records_updated"],
            error_message=run["error_message"],
        )
    apply_jobs(conn, [job], source="file:x")
    return conn


def strictly(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Validate against a schema of the document; an object may have no keys beyond those the schema names."""
    components = copy.deepcopy(document["components"])
    for named in components["schemas"].values():
        named["additionalProperties"] = False
    return Draft202012Validator({**schema, "components": components})


def responses(document: dict[str, Any], route: tuple[str, str]) -> dict[str, Any]:
    method, path = route
    found = document["paths"][path][method.lower()]["responses"]
    assert isinstance(found, dict)
    return found


def test_it_has_every_data_route_and_no_other(document):
    assert sorted((method.upper(), path) for path, methods in document["paths"].items() for method in methods) == ROUTES


def test_its_paths_are_below_the_mount_path(document):
    assert document["servers"] == [{"url": "/jobmon"}]


def test_every_schema_has_valid_examples(document):
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("examples"), f"give an example of {name} in SHAPES"
        for example in schema["examples"]:
            strictly(document, {"$ref": f"#/components/schemas/{name}"}).validate(example)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_response_with_a_body_has_a_valid_example(document, route):
    for status, response in responses(document, route).items():
        for shown in response.get("content", {}).values():
            for name, reference in shown["examples"].items():
                assert reference == {"$ref": f"#/components/examples/{name}"}
                example = document["components"]["examples"][name]["value"]
                strictly(document, shown["schema"]).validate(example)
        assert response.get("content") or status == "302"


def test_every_route_documents_its_authentication(document):
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert "[jobmon] api_token" in scheme["description"]
    assert all(operation["security"] for methods in document["paths"].values() for operation in methods.values())


def test_its_enumerations_match_the_code():
    assert get_args(FindingKind) == tuple(Kind)
    assert get_args(Status) == tuple(Health)


def test_the_examples_are_computed_from_their_own_log(logged):
    at = parse_moment(examples.CHECKED_AT)
    report = health_report(assess_jobs(logged, Settings(), [examples.NAME], at=at), at)
    assert without_ids(report) == without_ids(examples.HEALTH)
    metrics = job_metrics(logged, Settings(), examples.NAME, days=30, now=at)
    assert without_ids({**metrics, "health": report["jobs"][0]}) == without_ids(examples.METRICS)
    before = parse_moment(examples.GOOD_HEALTH["checked_at"])
    report = health_report(assess_jobs(logged, Settings(), [examples.NAME], at=before), before)
    assert without_ids(report) == without_ids(examples.GOOD_HEALTH)


def without_ids(value: Any) -> Any:
    """Drop ids, which the database generates, and compare floats to a billionth."""
    if isinstance(value, dict):
        return {key: without_ids(inner) for key, inner in value.items() if key != "id"}
    if isinstance(value, list):
        return [without_ids(inner) for inner in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def test_the_prometheus_examples_parse():
    for text, parse in (
        (examples.EXPOSITION, parse_classic),
        (examples.OPENMETRICS_EXPOSITION, parse_openmetrics),
    ):
        shown = {sample.name: sample.value for family in parse(text) for sample in family.samples}
        assert shown == {"jobmon_job_health": 3.0, "jobmon_job_success_ratio": examples.JOB["success_rate"] / 100}


Asking = Callable[..., Any]


@pytest.fixture
def ask(client, jobmon_default) -> Asking:
    made, signed_in = client

    def request(route: tuple[str, str], params: dict[str, str], headers: dict[str, str] | None = None) -> Any:
        method, path = route
        sent = signed_in if headers is None else headers
        return made.request(method, f"/jobmon{path}", params=params, headers=sent, follow_redirects=False)

    return request


def every_trouble(ask: Asking, conn: Any, monkeypatch: pytest.MonkeyPatch, route: tuple[str, str]) -> list[Any]:
    """Real responses of one route, from ok to refused; they leave the database unusable."""
    log_run(conn, "fine", records_updated=3)
    named = {"job_name": "fine"}
    check_and_record(conn, Settings())
    answers = [
        ask(route, named),
        ask(route, named, {}),
        ask(route, named, {"Authorization": "Bearer wrong"}),
        ask(route, named, {"Accept": "text/html"}),
        ask(route, {"job_name": "nobody knows it"}),
        ask(route, {"job_name": "x" * 2001}),
    ]
    log_run(conn, "broken", "failed", error_message="disk full")
    log_run(conn, "odd", "paused", datetime.now(UTC))
    check_and_record(conn, Settings())
    answers += [ask(route, {"job_name": name}) for name in ("broken", "odd")]
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", "postgresql://u@127.0.0.1:1/db")
        patch.setattr(database, "_PATIENCE", 0.2)
        forget()
        answers.append(ask(route, named))
    forget()
    conn.execute("DROP TABLE airflow_jobmon.job_state CASCADE")
    return [*answers, ask(route, named)]


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_status_of_a_route_is_documented_and_valid(document, ask, conn, monkeypatch, route):
    documented = responses(document, route)
    answers = every_trouble(ask, conn, monkeypatch, route)
    assert {str(answer.status_code) for answer in answers} == set(documented)
    for answer in answers:
        content = documented[str(answer.status_code)].get("content", {})
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if kind == "application/json":
            strictly(document, content[kind]["schema"]).validate(answer.json())
        else:
            assert kind in content or answer.status_code == 302


def test_a_refusal_and_an_unknown_job_match_the_examples(ask, logged):
    route = ("GET", "/job-metrics")
    assert ask(route, {"job_name": "update-instalment-statuses"}).json() == examples.UNKNOWN_JOB
    assert ask(route, {"job_name": "x", "days": "401"}).json() == {"detail": [examples.WRONG_PARAMETER]}
    assert ask(route, {"job_name": "x"}, {}).json() == examples.NO_TOKEN
