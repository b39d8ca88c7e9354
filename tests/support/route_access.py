"""Which routes there are, and which permission each needs."""

from __future__ import annotations

DATA = {("GET", "/check-job-health"), ("HEAD", "/check-job-health"), ("GET", "/job-metrics"), ("GET", "/metrics")}
CHANGES = {("POST", "/check-job-health")}
PAGES = {
    ("GET", "/"),
    ("GET", "/runbook"),
    ("GET", "/openapi.json"),
    ("GET", "/static/page.css"),
    ("GET", "/static/page.js"),
}
"""What was decided of each route; a new one belongs into one of these."""

OPEN, LOCKED = "let in", "kept out"


def routes() -> list[tuple[str, str]]:
    from fastapi.routing import APIRoute

    from airflow_jobmon.web.app import make_app

    found = []
    for route in make_app().routes:
        assert isinstance(route, APIRoute), f"{route} is no route that the decisions are made for"
        found += [(method, route.path) for method in route.methods]
    return sorted(found)


def kind_of(route: tuple[str, str]) -> str:
    found = [kind for kind, named in (("data", DATA), ("change", CHANGES), ("page", PAGES)) if route in named]
    assert len(found) == 1, f"decide who may call {route}: data, change or page"
    return found[0]
