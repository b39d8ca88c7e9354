"""A job's page as Airflow's API server serves it: who may see it, and what it shows."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from html import unescape

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.acknowledgements import IncidentSelector, acknowledge
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.silences import silence
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.moments import ago

HOSTILE = "<script>alert(1)</script> & \u202e"
TWO_CHANNELS = Settings(channels=("slack", "mail"))


def get(client, job_name, **headers):
    made, _ = client
    return made.get("/jobmon/", params={"job_name": job_name}, headers=headers)


@pytest.fixture
def page(client, conn, jobmon_default):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")

    def ask(job_name="load"):
        answer = get(client, job_name, **client[1])
        assert answer.status_code == 200, answer.text
        return answer.text

    return ask


def section(text: str, heading: str) -> str:
    found = re.search(rf'<section aria-labelledby="{heading}">(.*?)</section>', text, re.DOTALL)
    return found[1] if found else ""


def commands(text: str) -> list[list[str]]:
    return [shlex.split(unescape(found)) for found in re.findall(r'class="command"><code>(.*?)</code>', text)]


def test_no_one_sees_it_without_signing_in(client, conn, jobmon_default):
    log_run(conn, "load")
    assert get(client, "load").status_code == 401
    assert get(client, "load", Authorization="Bearer nonsense").status_code == 403


def test_a_person_without_a_session_is_redirected_to_the_login_and_back(client, conn, jobmon_default):
    log_run(conn, "load")
    made, _ = client
    asked = {"params": {"job_name": "load"}, "headers": {"Accept": "text/html"}}
    answer = made.get("/jobmon/", follow_redirects=False, **asked)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("../api/v2/auth/login?next=%2Fjobmon%2F%3F")
    assert made.get("/jobmon/", follow_redirects=True, **asked).url.path == "/auth/login"


def test_it_shows_health_runs_and_errors_escaped(page, conn):
    log_run(conn, HOSTILE, status="failed", error_message=f"{HOSTILE} postgres://app:hunter2@db/prod")
    check_and_record(conn, TWO_CHANNELS)
    text = page(HOSTILE)
    assert "<script>alert" not in text
    assert "hunter2" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; \\u202e") >= 4


def test_the_month_is_shown_in_charts_and_daily_figures(page, conn):
    for day in range(1, 9):
        log_run(conn, "load", started_at=ago(days=day), seconds=10 + day, records_updated=100 * day)
    log_run(conn, "load", "failed", ago(days=3))
    text = page()
    month = section(text, "month")
    assert month.count("<svg") == 3
    assert "8 of 9 runs succeeded" in month
    assert "usually 12 s to 16 s" in month
    assert 'class="band"' in month
    assert "3,600 in 30 days" in month
    assert f"{ago(days=3).date()}: 1 of 2 succeeded, 1 failed" in month
    row = re.search(rf'<th scope="row">{ago(days=3).date()}</th>(.*?)</tr>', month, re.DOTALL)[1]
    assert re.findall(r">([^<>]+)</td>", row) == ["2", "1", "1", "13.0 s", "13.0 s", "300"]


def test_an_open_incident_shows_who_was_notified_and_how_to_acknowledge_it(page, conn):
    log_run(conn, "load", "failed", ago(hours=2), error_message="disk full\nat block 7")
    check_and_record(conn, TWO_CHANNELS)
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'sent', sent_at = clock_timestamp()")
    text = page()
    opened = section(text, "open")
    assert "Job Failed" in opened
    assert "open for 2.0 h" in opened
    assert "<pre>disk full\nat block 7</pre>" in opened
    assert opened.count('class="notified sent"') == 2
    incident = conn.execute("SELECT id FROM airflow_jobmon.incidents").fetchone()[0]
    acknowledging, silencing = commands(text)
    assert acknowledging[:5] == ["airflow", "jobmon", "ack", "--id", str(incident)]
    assert silencing[:6] == ["airflow", "jobmon", "silence", "load", "--for", "2h"]
    acknowledge(conn, IncidentSelector(incident, None, None), by="eva", note="disk is coming")
    text = page()
    assert "acknowledged by eva: disk is coming" in text
    assert [command[2] for command in commands(text)] == ["silence"]


def test_a_silenced_job_says_until_when_and_how_to_end_it(page, conn):
    log_run(conn, "load")
    silence(conn, "lo*", timedelta(hours=2), reason="upgrade", by="eva")
    text = page()
    assert re.search(r"silenced until [0-9TZ:-]+ by eva: upgrade", text)
    assert commands(text) == [["airflow", "jobmon", "unsilence", "lo*"]]


def test_commands_name_the_job_correctly_for_any_name(page, conn):
    name = "it's $(rm -rf ~) \u202e\n-x"
    log_run(conn, name)
    [silencing] = commands(page(name))
    assert silencing[3] == "it's $(rm -rf ~) ??-x"


def test_alerts_show_their_delivery_on_each_channel(page, conn):
    log_run(conn, "load", "failed", error_message="disk full")
    check_and_record(conn, TWO_CHANNELS)
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = '550 no' WHERE channel = 'mail'")
    alerts = section(page(), "alerts")
    assert "Job Failed, opened" in alerts
    assert 'class="notified dead"' in alerts
    assert 'class="notified pending"' in alerts
    assert "mail: 550 no" in alerts


def test_past_incidents_are_listed_with_their_duration(page, conn):
    log_run(conn, "load", "failed", ago(hours=3), error_message="disk full")
    check_and_record(conn, TWO_CHANNELS)
    log_run(conn, "load", started_at=ago(hours=1))
    check_and_record(conn, TWO_CHANNELS)
    text = page()
    assert section(text, "open") == ""
    past = section(text, "past")
    assert "disk full" in past
    assert "2.0 h" in past


def test_it_shows_what_is_expected_of_the_job(page, conn):
    job = MonitoredJob(
        name="load",
        schedule="0 2 * * *",
        timezone="Europe/Berlin",
        owner="payments",
        runbook_url="https://wiki.example/x",
    )
    apply_jobs(conn, [job], source="file:x")
    text = page()
    assert "0 2 * * * (Europe/Berlin), grace 1h" in text
    assert "payments" in text
    assert '<a href="https://wiki.example/x" target="_blank" rel="noopener noreferrer">' in text
    assert "This job has not run yet." in text
    assert "No alerts about this job." in text


@pytest.mark.parametrize(
    ("unregistered", "alerts", "scheduled"),
    [
        ("learn", "by its learned schedule", False),
        ("defaults", "evaluated by the defaults", True),
        ("ignore", "no one is notified", False),
    ],
)
def test_it_shows_how_an_unregistered_job_is_evaluated(page, conn, monkeypatch, unregistered, alerts, scheduled):
    monkeypatch.setenv("AIRFLOW__JOBMON__UNREGISTERED_JOBS", unregistered)
    log_run(conn, "load")
    text = page()
    assert re.search(rf"<dt>Registered</dt><dd>no: [^<]*{alerts}</dd>", text)
    assert ("every 1d, grace 1h" in text) is scheduled


def test_a_disabled_job_says_so(page, conn):
    apply_jobs(conn, [MonitoredJob(name="load", enabled=False)], source="file:x")
    assert "This job is not watched" in page()


def test_an_unknown_job_is_not_found(client, jobmon_default):
    answer = get(client, "<b>laod", **client[1])
    assert answer.status_code == 404
    assert "&lt;b&gt;laod" in answer.text
