"""The page in a real Chromium inside Airflow's own interface, served under a path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests import conftest
from tests.support.api_server import Server, api_server, log_in
from tests.support.chromium import Tab, chromium
from tests.support.framed_page import (
    AROUND,
    FRAME,
    FRAMED,
    INK,
    PAPER,
    brightness,
    complaints,
    press_menu_entry,
    sign_in,
)
from tests.support.logged_runs import log_run

HOSTILE = "<img src=x onerror=\"parent.document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def jobs(postgres, template) -> Iterator[tuple[str, Connection[Any]]]:
    """A database with three watched jobs: one that fails, one that is healthy, one with a hostile name."""
    conftest._create(postgres, "in_chromium", template)
    where = postgres.conninfo("in_chromium")
    with connect(where) as conn:
        conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
        apply_jobs(conn, [MonitoredJob(name="nightly-invoices", runbook_url="https://127.0.0.1:1/x")], source="file:x")
        for day in range(1, 20):
            for name in ("nightly-invoices", "load"):
                log_run(conn, name, started_at=datetime.now(UTC) - timedelta(days=day), records_updated=day)
        log_run(conn, "nightly-invoices", "failed", error_message="disk full")
        log_run(conn, "load")
        log_run(conn, HOSTILE, "failed", error_message=HOSTILE)
        check_and_record(conn, Settings(channels=("slack",)))
        yield where, conn
    conftest._drop(postgres, "in_chromium")


@pytest.fixture(scope="module")
def server(airflow_home, jobs, postgres, tmp_path_factory) -> Iterator[Server]:
    environment = {"AIRFLOW_CONN_JOBMON_DEFAULT": postgres.uri("in_chromium")}
    with api_server(tmp_path_factory.mktemp("served"), airflow_home / "airflow.db", environment) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(browser, server) -> Iterator[Tab]:
    """A signed-in tab on a light desktop; at the end, the console must have no errors."""
    browser.size(1280, 860)
    browser.prefer("light")
    browser.call("Network.clearBrowserCookies")
    browser.set_cookie(server.url, "_token", log_in(server.url, "admin"))
    browser.complaints.clear()
    yield browser
    assert complaints(browser) == []


@pytest.fixture
def framed(tab, server):
    """Open one of our pages inside Airflow, and wait until it is shown."""

    def open_page(query: str = "") -> Tab:
        tab.open(f"{server.url}/plugin/jobmon" + (f"/airflow/jobmon/{query}" if query else ""))
        tab.until(FRAMED)
        return tab

    return open_page


def test_the_menu_opens_the_page_with_the_health_of_the_jobs(tab, server):
    tab.open(f"{server.url}/")
    assert press_menu_entry(tab) == "2 of 3 jobs are critical"
    names = tab.see(f"[...{FRAME}.querySelectorAll('tbody th > a')].map(link => link.textContent)")
    assert sorted(names) == sorted([HOSTILE, "load", "nightly-invoices"])
    assert names[-1] == "load"
    assert "taken" not in tab.see("document.title") + tab.see(f"{FRAME}.title").replace(HOSTILE, "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_airflows_theme(framed, tab, scheme):
    tab.prefer(scheme)
    framed()
    tab.until(f"document.documentElement.classList.contains('{scheme}')")
    dark = scheme == "dark"
    assert tab.see(f"{FRAME}.documentElement.classList.contains('{scheme}')")
    assert (brightness(tab, PAPER) < 100) == dark
    assert (brightness(tab, INK) > 150) == dark
    assert abs(brightness(tab, PAPER) - brightness(tab, AROUND)) < 4
    tab.see("document.documentElement.classList.toggle('dark'); document.documentElement.classList.toggle('light')")
    tab.until(f"!{FRAME}.documentElement.classList.contains('{scheme}')")
    assert (brightness(tab, PAPER) < 100) != dark


def test_a_job_opens_and_its_address_can_be_bookmarked(framed, tab):
    framed()
    tab.see(f"[...{FRAME}.querySelectorAll('tbody th > a')].find(a => a.textContent == 'nightly-invoices').click()")
    assert tab.until(f"{FRAMED}?.textContent == 'nightly-invoices'")
    tab.until("location.href.includes('job_name=nightly-invoices')")
    tab.see("window.before = true")
    tab.call("Page.reload")
    tab.until(f"!window.before && {FRAMED}?.textContent == 'nightly-invoices'")
    assert tab.see(f"{FRAME}.querySelectorAll('figure svg').length") == 3
    assert "disk full" in tab.see(f"{FRAME}.querySelector('.incident pre').textContent")


def test_the_list_is_filtered_while_typing(framed, tab):
    framed()
    tab.see(f"{FRAME}.getElementById('q').focus()")
    tab.type("INVOICES")
    tab.until(f"{FRAME}.querySelectorAll('table.jobs tbody tr').length == 1")
    assert tab.see(f"{FRAME}.querySelector('tbody th > a').textContent") == "nightly-invoices"
    assert tab.see(f"{FRAME}.activeElement.id") == "q"
    assert tab.see("document.querySelector('iframe').contentWindow.location.search") == "?q=INVOICES"
    assert tab.see(f"{FRAME}.querySelector('.chip b').textContent") == "1"


@pytest.mark.parametrize("query", ["?q=", "?job_name=nightly-invoices", "?job_name=not-there"])
def test_it_is_readable_on_a_phone(tab, server, query):
    tab.size(360, 740, phone=True)
    tab.open(f"{server.url}/jobmon/{query}")
    tab.until("document.querySelector('h1')")
    assert tab.see("document.documentElement.scrollWidth") == 360
    tab.complaints = complaints(tab, "404 (Not Found)")


def test_everything_is_reachable_by_keyboard(tab, server):
    tab.open(f"{server.url}/jobmon/")
    tab.until("document.querySelector('h1')")
    reached = []
    for _ in range(30):
        tab.press("Tab")
        reached.append(tab.see("document.activeElement.textContent.trim() || document.activeElement.id"))
    assert reached[0] == "Skip to content"
    for name in ("Airflow", "nightly-invoices", "q", "load"):
        assert name in reached
    assert any(found.startswith("Critical") for found in reached)


@pytest.fixture
def hurried(tab, server) -> Iterator[Tab]:
    """The page with a minute shortened to a third of a second."""
    hurry = "const real = setInterval; window.setInterval = (work, after) => real(work, after / 200);"
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=hurry)
    tab.open(f"{server.url}/jobmon/")
    tab.until("document.querySelector('h1')")
    yield tab
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_it_refreshes_itself_and_says_when_it_cannot(hurried, jobs):
    tab = hurried
    try:
        log_run(jobs[1], "appeared")
        check_and_record(jobs[1], Settings())
        tab.until("document.querySelector('h1').textContent == '2 of 4 jobs are critical'")
        tab.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        notice = tab.until("!document.getElementById('notice').hidden && document.getElementById('notice').textContent")
        assert notice.endswith("UTC: Airflow does not respond; retrying every minute.")
        tab.call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        tab.until("document.getElementById('notice').hidden")
    finally:
        jobs[1].execute("DELETE FROM public.jobs_log WHERE job_name = 'appeared'")
        jobs[1].execute("DELETE FROM airflow_jobmon.job_state WHERE job_name = 'appeared'")
    tab.complaints = complaints(tab, "ERR_INTERNET_DISCONNECTED")


def test_a_user_who_was_signed_out_meanwhile_sees_a_notice(hurried):
    hurried.see("fetch('../api/v2/auth/logout', {redirect: 'manual'}).then(() => true)")
    notice = hurried.until("!document.getElementById('notice').hidden && document.getElementById('notice').textContent")
    assert notice.endswith("UTC: you are signed out; load the page again.")
    assert hurried.see("document.querySelector('h1').textContent") == "2 of 3 jobs are critical"


def test_a_link_opened_without_a_login_goes_through_the_login_and_back(tab, server):
    tab.call("Network.clearBrowserCookies")
    tab.open(f"{server.url}/jobmon/?job_name=nightly-invoices")
    sign_in(tab, "admin")
    assert tab.until("document.querySelector('h1')?.textContent") == "nightly-invoices"
    assert tab.see("location.href") == f"{server.url}/jobmon/?job_name=nightly-invoices"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_user_without_permission_sees_why_and_can_sign_in_as_another(tab, server, scheme):
    tab.prefer(scheme)
    tab.set_cookie(server.url, "_token", log_in(server.url, "guest"))
    tab.open(f"{server.url}/jobmon/?job_name=nightly-invoices")
    assert tab.see("document.querySelector('h1').textContent") == "You do not have access to this page"
    assert "nightly-invoices" not in tab.see("document.body.textContent")
    assert (brightness(tab, "getComputedStyle(document.body).backgroundColor") < 100) == (scheme == "dark")
    tab.see("document.querySelector('main a').click()")
    sign_in(tab, "admin")


def test_a_list_that_is_loading_says_so(framed, tab, jobs):
    framed()
    tab.see(f"{FRAME}.getElementById('q').focus()")
    with jobs[1].transaction():
        jobs[1].execute("LOCK TABLE public.jobs_log")
        tab.type("INVOICES")
        tab.until(f"{FRAME}.querySelector('main').getAttribute('aria-busy') == 'true'")
        assert tab.see(f"{FRAME}.querySelectorAll('table.jobs tbody tr').length") == 3
    tab.until(f"!{FRAME}.querySelector('main').hasAttribute('aria-busy')")
    assert tab.see(f"{FRAME}.querySelectorAll('table.jobs tbody tr').length") == 1


def test_commands_are_copied_and_the_runbook_opens_in_a_new_window(framed, tab):
    framed("?job_name=nightly-invoices")
    tab.until(f"{FRAME}.querySelector('.copy')")
    tab.see(f"{FRAME}.querySelector('.copy').click()")
    tab.until(f"{FRAME}.querySelector('.copy').textContent == 'Copied'")
    before = len(tab.call("Target.getTargets")["targetInfos"])
    tab.call("Runtime.evaluate", expression=f"{FRAME}.querySelector('a[target=_blank]').click()", userGesture=True)
    opened = [target["url"] for target in tab.call("Target.getTargets")["targetInfos"]]
    assert len(opened) == before + 1, json.dumps(opened)
