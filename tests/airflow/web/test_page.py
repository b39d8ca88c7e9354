"""The overview as Airflow's API server serves it: its headline, its jobs and their order."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.acknowledgements import IncidentSelector, acknowledge
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.silences import silence
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.moments import ago

HOSTILE = "<script>alert(1)</script> \"quoted\" & 'so' \u202e"
TWO_CHANNELS = Settings(channels=("slack", "mail"))


@pytest.fixture
def page(client, jobmon_default):
    made, headers = client

    def ask(**params):
        answer = made.get("/jobmon/", params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    return ask


@pytest.fixture
def watched(conn):
    """A package installed long ago, with a live watcher."""
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
    conn.execute(
        "INSERT INTO airflow_jobmon.watchers (id, kind, host, pid, delivers, listens)"
        " VALUES (gen_random_uuid(), 'listen', 'here', 1, true, true)"
    )


def headline(text: str) -> str:
    return re.search(r"<h1>(.*?)</h1>", text)[1]


def listed(text: str) -> list[str]:
    table = text.partition('<table class="jobs">')[2]
    return re.findall(r'<th scope="row"><a href="[^"]*">(.*?)</a>', table)


def test_the_headline_says_that_all_jobs_are_healthy(page, conn, watched):
    log_run(conn, "load")
    assert headline(page()) == "No jobs yet"
    check_and_record(conn, TWO_CHANNELS)
    assert headline(page()) == "The job is healthy"
    log_run(conn, "bill")
    check_and_record(conn, TWO_CHANNELS)
    text = page()
    assert headline(text) == "All 2 jobs are healthy"
    assert "1 watcher running" in text
    assert "Open incidents" not in text
    assert 'class="note' not in text.partition("<main")[2]


def test_jobs_that_need_a_person_come_first(page, conn, watched):
    apply_jobs(conn, [MonitoredJob(name="new"), MonitoredJob(name="slow")], source="file:x")
    log_run(conn, "fine")
    log_run(conn, "slow", seconds=90)
    for name in ("a-silenced", "b-acknowledged", "c-broken"):
        log_run(conn, name, "failed", error_message="disk full")
    check_and_record(conn, TWO_CHANNELS)
    silence(conn, "a-*", timedelta(hours=2), reason="upgrade", by="eva")
    acknowledge(conn, IncidentSelector(None, "b-acknowledged", None), by="eva", note="disk is coming")
    text = page()
    assert listed(text) == ["c-broken", "a-silenced", "b-acknowledged", "slow", "new", "fine"]
    assert headline(text) == "3 of 6 jobs are critical"
    assert "2 of them are acknowledged or silenced." in text
    assert "acknowledged by eva: disk is coming" in text
    assert 'title="upgrade">silenced until' in text


def test_an_open_incident_shows_since_when_and_who_was_notified(page, conn, watched):
    log_run(conn, "load", "failed", ago(hours=3), error_message="disk full")
    check_and_record(conn, TWO_CHANNELS)
    conn.execute(
        "UPDATE airflow_jobmon.deliveries SET state = 'sent', sent_at = clock_timestamp() WHERE channel = 'slack'"
    )
    conn.execute(
        "UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = '404 no such hook' WHERE channel = 'mail'"
    )
    text = page()
    assert "open for 3.0 h" in text
    assert re.search(
        r'class="notified sent">slack\s*<span class="faint"><time datetime="[^"]+" title="[^"]+">now', text
    )
    assert re.search(r'class="notified dead" title="404 no such hook">mail\s*<span class="faint">refused', text)
    assert "Alerts are not delivered" in text
    assert "mail: 1 (404 no such hook)" in text


def test_an_incident_that_notified_no_one_says_so(page, conn, watched):
    log_run(conn, "load", "failed")
    check_and_record(conn, Settings())
    assert '<span class="faint">no one</span>' in page()


def test_it_says_when_no_watcher_is_running(page, conn, watched):
    log_run(conn, "load")
    check_and_record(conn, TWO_CHANNELS)
    conn.execute("UPDATE airflow_jobmon.watchers SET seen_at = seen_at - interval '3 hours'")
    text = page()
    assert headline(text) == "The job is healthy"  # by the hourly check
    assert "No watcher is running" in text
    assert "Last heartbeat: 3.0 h ago" in text
    conn.execute("UPDATE airflow_jobmon.full_checks SET checked_at = checked_at - interval '4 hours'")
    text = page()
    assert headline(text) == "Job health is unknown"
    assert "The last check was 4.0 h ago" in text
    assert "No watcher is running" not in text  # which would say that the hourly check is
    assert 'class="badge unknown"' in text


def test_last_and_next_runs_are_shown_relative_to_now(page, conn, watched):
    apply_jobs(conn, [MonitoredJob(name="load", every="6h", grace="1h")], source="file:x")
    log_run(conn, "load", started_at=ago(hours=3), seconds=10)
    check_and_record(conn, TWO_CHANNELS)
    text = page()
    assert ">3 h ago</time>" in text
    assert ">in 4 h</time>" in text


def test_each_job_has_a_strip_of_the_last_thirty_days(page, conn, watched):
    log_run(conn, "load", started_at=ago(days=2))
    log_run(conn, "load", "failed", started_at=ago(days=1))
    log_run(conn, "load")
    check_and_record(conn, TWO_CHANNELS)
    strip = re.search(r'<td class="strip">(.*?)</td>', page())[1]
    assert strip.count("<title>") == 30
    assert f"{ago(days=1).date()}: 0 of 1 succeeded, 1 failed" in strip
    assert f"{ago(days=9).date()}: no finished run" in strip
    assert [strip.count(f'class="{tone}"') for tone in ("good", "bad", "none", "warn")] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param({"q": "BILL"}, ["billing-broken", "billing-fine"], id="a part of the name, in any case"),
        pytest.param({"health": "ok"}, ["billing-fine", "load"], id="a health"),
        pytest.param({"q": "bill", "health": "ok"}, ["billing-fine"], id="both"),
        pytest.param({"q": "", "health": ""}, ["billing-broken", "billing-fine", "load"], id="a form left empty"),
        pytest.param({"q": "nothing-like-it"}, [], id="nothing"),
        pytest.param({"q": "%"}, [], id="no wildcard of SQL"),
    ],
)
def test_names_and_health_can_be_searched_without_a_script(page, conn, watched, asked, found):
    log_run(conn, "load")
    log_run(conn, "billing-fine")
    log_run(conn, "billing-broken", "failed")
    check_and_record(conn, TWO_CHANNELS)
    text = page(**asked)
    assert listed(text) == found
    assert ("Show all 3" in text) == (not found)


def test_the_search_stays_in_the_form_and_in_the_links(page, conn, watched):
    log_run(conn, "load")
    check_and_record(conn, TWO_CHANNELS)
    text = page(q='lo"ad&', health="ok")
    assert 'value="lo&#34;ad&amp;"' in text
    assert 'href="?q=lo%22ad%26&amp;health=critical"' in text


def test_hostile_names_and_errors_are_shown_as_text(page, conn, watched):
    log_run(conn, HOSTILE, "failed", error_message=f"{HOSTILE} postgres://app:hunter2@db/prod")
    check_and_record(conn, TWO_CHANNELS)
    text = page()
    assert "<script>alert" not in text
    assert "hunter2" not in text
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert 'href="?job_name=%3Cscript%3Ealert%281%29%3C%2Fscript%3E+%22quoted%22' in text


def test_more_jobs_than_fit_on_a_page_are_split_into_pages(page, conn, watched):
    with conn.cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
            " SELECT 'job-' || lpad(n::text, 4, '0'), now() - interval '1 hour', now() - interval '59 minutes',"
            " CASE n WHEN 700 THEN 'failed' ELSE 'success' END FROM generate_series(1, 1100) AS n"
        )
    check_and_record(conn, TWO_CHANNELS)
    first, last = page(), page(page=3)
    assert listed(first)[:2] == ["job-0700", "job-0001"]
    assert len(listed(first)) == 500
    assert listed(last)[-1] == "job-1100"
    assert "Page 3 of 3, 1100 jobs, worst first" in last
    assert 'rel="next"' in first
    assert 'rel="next"' not in last
    assert listed(page(page=99)) == listed(last)
    assert listed(page(q="job-1100")) == ["job-1100"]


def test_style_and_script_are_served_here_and_cached(client, page, conn):
    made, headers = client
    links = re.findall(r'(?:href|src)="(static/[^"]+)"', page())
    assert len(links) == 2
    for link, kind in zip(links, ("text/css", "text/javascript"), strict=True):
        answer = made.get(f"/jobmon/{link}", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]


def test_the_markup_needs_nothing_that_the_content_security_policy_forbids(client, page, conn, watched):
    made, headers = client
    log_run(conn, "load", "failed")
    check_and_record(conn, TWO_CHANNELS)
    for text in (page(), page(job_name="load")):
        assert " style=" not in text
        assert "<style" not in text
        assert not re.search(r"\son[a-z]+=", text)
        assert not re.search(r'(?:href|src)="(?:https?:)?//', text)
    policy = made.get("/jobmon/", headers=headers).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'self'" in policy
