"""Airflow with FAB, served under a path, in a separate environment: its users, roles and login."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import requests

from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.settings import Settings
from tests import conftest
from tests.support.api_server import Server, log_in, serving
from tests.support.chromium import Tab, chromium
from tests.support.clean_environment import ROOT, Installed
from tests.support.framed_page import (
    AROUND,
    FRAME,
    INK,
    MENU_ENTRY,
    PAPER,
    brightness,
    complaints,
    press_menu_entry,
    sign_in,
)
from tests.support.logged_runs import log_run
from tests.support.route_access import CHANGES, DATA, PAGES, kind_of

pytestmark = pytest.mark.install

TOKEN = "a-machine-token-of-some-length"

ROLES = {
    "reader": [("can_read", "Website")],
    "reader-of-menus": [("can_read", "Website"), ("can_read", "Plugins")],
    "stranger": [],
}
"""The permissions of each role made here; a user has the name of the role, as the password too."""

ANSWERS = {
    "anonymous": {"data": 401, "change": 401, "page": 401},
    "anonymous, in a browser": {"data": 302, "change": 302, "page": 302},
    "a wrong token": {"data": 403, "change": 403, "page": 403},
    "the machine token": {"data": 200, "change": 200, "page": 403},
    "the machine token as a cookie": {"data": 403, "change": 403, "page": 403},
    "admin": {"data": 200, "change": 200, "page": 200},
    "viewer": {"data": 200, "change": 200, "page": 200},
    "viewer's cookie": {"data": 200, "change": 403, "page": 200},
    "reader": {"data": 200, "change": 200, "page": 200},
    "stranger": {"data": 403, "change": 403, "page": 403},
    "stranger's cookie": {"data": 403, "change": 403, "page": 403},
}


@pytest.fixture(scope="module")
def database(postgres, template) -> Iterator[str]:
    """A database with a job that fails, and `load`, which is healthy."""
    conftest._create(postgres, "under_fab", template)
    with connect(postgres.conninfo("under_fab")) as conn:
        conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
        for day in range(20):
            for name in ("nightly-invoices", "load"):
                log_run(conn, name, started_at=datetime.now(UTC) - timedelta(days=day, minutes=1))
        log_run(conn, "nightly-invoices", "failed", error_message="disk full")
        check_and_record(conn, Settings())
    yield postgres.uri("under_fab")
    conftest._drop(postgres, "under_fab")


@pytest.fixture(scope="module")
def server(wheel, database, tmp_path_factory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("fab")
    installed = Installed(
        directory,
        wheel,
        *("--constraint", str(ROOT / "tests" / "distributed" / "requirements.txt")),
        *("apache-airflow", "apache-airflow-providers-fab"),
        AIRFLOW__CORE__AUTH_MANAGER="airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        AIRFLOW__FAB__AUTH_RATE_LIMITED="False",
        AIRFLOW__JOBMON__API_TOKEN=TOKEN,
        AIRFLOW_CONN_JOBMON_DEFAULT=database,
    )
    installed.run("airflow", "db", "migrate")
    person = ["--firstname", "A", "--lastname", "B", "--email", "admin@example.com"]
    installed.run(
        "airflow", "users", "create", "--username", "admin", "--password", "admin", "--role", "Admin", *person
    )
    with serving(installed.bin / "python", "air", installed.environment, directory / "api-server.log") as running:
        add_users(running)
        yield running


def add_users(server: Server) -> None:
    """Add a user of each role, as an administrator does."""

    def add(what: str, **given: object) -> None:
        answer = requests.post(f"{server.url}/auth/fab/v1/{what}", json=given, headers=bearer(server.token), timeout=30)
        assert answer.ok, answer.text

    for role, allowed in ROLES.items():
        actions = [{"action": {"name": action}, "resource": {"name": resource}} for action, resource in allowed]
        add("roles", name=role, actions=actions)
    for name, role in {**dict(zip(ROLES, ROLES, strict=True)), "viewer": "Viewer"}.items():
        email = f"{name}@example.com"
        add("users", username=name, password=name, first_name=name, last_name="B", email=email, roles=[{"name": role}])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def callers(server) -> dict[str, dict[str, str]]:
    """The headers that each caller of ANSWERS sends."""
    tokens = {name: log_in(server.url, name) for name in ("admin", "viewer", "reader", "stranger")}
    return {
        "anonymous": {},
        "anonymous, in a browser": {"Accept": "text/html"},
        "a wrong token": bearer("wrong"),
        "the machine token": bearer(TOKEN),
        "the machine token as a cookie": {"Cookie": f"_token={TOKEN}"},
        **{name: bearer(token) for name, token in tokens.items()},
        **{f"{name}'s cookie": {"Cookie": f"_token={token}"} for name, token in tokens.items()},
    }


@pytest.mark.parametrize("caller", ANSWERS)
def test_every_route_admits_exactly_the_right_callers(server, callers, caller):
    seen, decided = {}, {}
    for method, path in DATA | CHANGES | PAGES:
        answer = requests.request(
            method,
            f"{server.url}/jobmon{path}",
            params={"job_name": "load"},
            headers=callers[caller],
            allow_redirects=False,
            timeout=30,
        )
        seen[method, path] = answer.status_code
        decided[method, path] = ANSWERS[caller][kind_of((method, path))]
    assert seen == decided


@pytest.mark.parametrize("address", ["?job_name=load", "runbook", "?q=a%26b+%C3%A9", ""])
def test_a_browser_is_redirected_to_fabs_login_and_back(server, address):
    wanted = f"{server.url}/jobmon/{address}"
    with requests.Session() as browser:
        browser.headers["Accept"] = "text/html"
        login = browser.get(wanted, timeout=30)
        assert login.url.startswith(f"{server.url}/auth/login/?next=")
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', login.text)
        assert found, login.text
        given = {"username": "viewer", "password": "viewer", "csrf_token": unescape(found[1])}
        back = browser.post(login.url, data=given, timeout=30)
        assert (back.status_code, back.url) == (200, wanted)
        assert "Jobmon</title>" in back.text


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("browser")) as tab:
        tab.size(1280, 860)
        yield tab


@pytest.fixture
def tab(browser, server) -> Iterator[Tab]:
    """A browser without a login. Airflow's own pages may log errors for missing permissions, ours may not."""
    browser.call("Network.clearBrowserCookies")
    browser.complaints.clear()
    yield browser
    assert complaints(browser, f"{server.url}/ui/", f"{server.url}/api/v2/") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_menu_opens_the_page(tab, server, scheme):
    tab.prefer(scheme)
    tab.open(f"{server.url}/")
    sign_in(tab, "reader-of-menus")
    assert press_menu_entry(tab) == "1 of 2 jobs is critical"
    tab.until(f"{FRAME}.documentElement.classList.contains('{scheme}')")
    assert (brightness(tab, PAPER) < 100) == (brightness(tab, INK) > 150) == (scheme == "dark")
    assert abs(brightness(tab, PAPER) - brightness(tab, AROUND)) < 4


def test_a_viewer_has_no_menu_entry_and_can_open_the_page_by_its_url(tab, server):
    tab.prefer("light")
    tab.open(f"{server.url}/jobmon/?job_name=load")
    sign_in(tab, "viewer")
    assert tab.until("document.querySelector('h1')?.textContent") == "load"
    tab.open(f"{server.url}/")
    tab.until("document.querySelector('nav a[href], a[href$=\"/dags\"]')")
    assert tab.see(f"!{MENU_ENTRY}")


def test_a_user_without_permission_sees_why_and_can_sign_in_as_another(tab, server):
    tab.prefer("light")
    tab.open(f"{server.url}/jobmon/?job_name=load")
    sign_in(tab, "stranger")
    assert tab.until("document.querySelector('h1')?.textContent") == "You do not have access to this page"
    assert "load" not in tab.see("document.querySelector('main').textContent")
    tab.see("document.querySelector('main a').click()")
    sign_in(tab, "reader")
    tab.open(f"{server.url}/jobmon/?job_name=load")
    assert tab.until("document.querySelector('h1')?.textContent") == "load"
