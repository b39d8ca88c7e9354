"""Every route with every kind of caller; a route that is missing from the table fails here."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from tests.support.logged_runs import log_run
from tests.support.route_access import CHANGES, DATA, LOCKED, OPEN, PAGES, kind_of, routes

TOKEN = "a-machine-token-of-some-length"

DECISIONS = {
    "anonymous": dict.fromkeys(["data", "change", "page"], LOCKED),
    "a wrong token": dict.fromkeys(["data", "change", "page"], LOCKED),
    "the machine token": {"data": OPEN, "change": OPEN, "page": LOCKED},
    "the machine token as a cookie": dict.fromkeys(["data", "change", "page"], LOCKED),
    "a user's token": dict.fromkeys(["data", "change", "page"], OPEN),
    "a user's cookie": {"data": OPEN, "change": LOCKED, "page": OPEN},
    "a user's token that has expired": dict.fromkeys(["data", "change", "page"], LOCKED),
    "a wrong token beside a user's cookie": dict.fromkeys(["data", "change", "page"], LOCKED),
    "a user without the right": dict.fromkeys(["data", "change", "page"], LOCKED),
}


def expired(made) -> str:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username="eva", role="viewer")
    return made.app.state.auth_manager.generate_jwt(user, expiration_time_in_seconds=-3600)


def ask(client, route, caller):
    made, headers = client
    user = headers["Authorization"].removeprefix("Bearer ")
    given = {
        "anonymous": ({}, {}),
        "a wrong token": ({"Authorization": "Bearer wrong"}, {}),
        "the machine token": ({"Authorization": f"Bearer {TOKEN}"}, {}),
        "the machine token as a cookie": ({}, {"_token": TOKEN}),
        "a user's token": ({"Authorization": f"Bearer {user}"}, {}),
        "a user's cookie": ({}, {"_token": user}),
        "a user's token that has expired": ({"Authorization": f"Bearer {expired(made)}"}, {}),
        "a wrong token beside a user's cookie": ({"Authorization": "Bearer wrong"}, {"_token": user}),
        "a user without the right": ({"Authorization": f"Bearer {user}"}, {}),
    }
    sent, cookies = given[caller]
    method, path = route
    made.cookies.clear()
    for name, value in cookies.items():
        made.cookies.set(name, value)
    try:
        return made.request(method, f"/jobmon{path}", params={"job_name": "load"}, headers=sent, follow_redirects=False)
    finally:
        made.cookies.clear()


@pytest.mark.parametrize("caller", DECISIONS)
def test_every_route_admits_exactly_the_right_callers(client, conn, jobmon_default, monkeypatch, caller):
    monkeypatch.setenv("AIRFLOW__JOBMON__API_TOKEN", TOKEN)
    if caller == "a user without the right":
        made, _ = client
        monkeypatch.setattr(made.app.state.auth_manager, "is_authorized_view", lambda **_: False)
    log_run(conn, "load")
    seen, decided = {}, {}
    for route in routes():
        answer = ask(client, route, caller)
        seen[route] = LOCKED if answer.status_code in {401, 403} else OPEN
        decided[route] = DECISIONS[caller][kind_of(route)]
    assert seen == decided


@pytest.mark.parametrize("route", sorted(DATA | CHANGES), ids=" ".join)
@pytest.mark.parametrize("sent", ["", "None", "x"])
def test_without_a_configured_token_no_machine_token_is_admitted(client, conn, jobmon_default, route, sent):
    made, _ = client
    method, path = route
    answer = made.request(
        method, f"/jobmon{path}", params={"job_name": "load"}, headers={"Authorization": f"Bearer {sent}"}
    )
    assert answer.status_code in {401, 403}


@pytest.mark.parametrize("route", sorted(DATA | CHANGES | PAGES), ids=" ".join)
def test_no_unauthenticated_caller_sees_an_invalid_setting(client, monkeypatch, route):
    monkeypatch.setenv("AIRFLOW__JOBMON__SWEEP_INTERVAL", "a s3cr3t")
    made, headers = client
    method, path = route
    for sent in ({}, {"Authorization": "Bearer wrong"}):
        answer = made.request(method, f"/jobmon{path}", params={"job_name": "load"}, headers=sent)
        assert answer.status_code in {401, 403}
        assert "s3cr3t" not in answer.text
    if route in DATA:
        assert "sweep_interval" in made.get(f"/jobmon{path}", params={"job_name": "load"}, headers=headers).text


def test_the_way_back_from_the_login_is_a_path_only(client):
    made, _ = client
    answer = made.get("/jobmon/?job_name=a%26b&q=", headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"] == "../api/v2/auth/login?next=%2Fjobmon%2F%3Fjob_name%3Da%2526b%26q%3D"


@pytest.mark.parametrize("path", ["", "runbook", "static/page.css"])
def test_the_login_is_found_from_any_page(client, path):
    made, _ = client
    answer = made.get(f"/jobmon/{path}", headers={"Accept": "text/html"}, follow_redirects=False)
    login = urljoin(f"/air/jobmon/{path}", answer.headers["location"])
    assert login == f"/air/api/v2/auth/login?next=%2Fjobmon%2F{path.replace('/', '%2F')}"
