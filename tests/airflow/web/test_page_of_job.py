"""A job's page as Airflow's API server serves it: to whom, and what it shows."""

from __future__ import annotations

import pytest

from tests.runs import log_run

HOSTILE = "<script>alert(1)</script> & \u202e"


def get(client, job_name, **headers):
    made, _ = client
    return made.get("/jobmon/", params={"job_name": job_name}, headers=headers)


def test_nobody_sees_it_without_signing_in(client, conn, jobmon_default):
    log_run(conn, "load")
    assert get(client, "load").status_code == 401
    assert get(client, "load", Authorization="Bearer nonsense").status_code == 403


def test_a_person_who_is_not_signed_in_is_led_to_the_login_and_back(client, conn, jobmon_default):
    log_run(conn, "load")
    made, _ = client
    asked = {"params": {"job_name": "load"}, "headers": {"Accept": "text/html"}}
    answer = made.get("/jobmon/", follow_redirects=False, **asked)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("../api/v2/auth/login?next=http%3A%2F%2Ftestserver%2Fjobmon%2F%3F")
    assert made.get("/jobmon/", follow_redirects=True, **asked).url.path == "/auth/login"


def test_it_shows_health_runs_and_errors_escaped_and_allows_no_script(client, conn, jobmon_default):
    log_run(conn, HOSTILE, status="failed", error_message=HOSTILE)
    answer = get(client, HOSTILE, **client[1])
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert answer.text.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp;") >= 2
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("missing", [pytest.param("", id="empty"), pytest.param("x" * 2001, id="too long")])
def test_a_name_that_no_job_can_have_is_refused(client, jobmon_default, missing):
    assert get(client, missing, **client[1]).status_code == 422


def test_a_job_nobody_knows_is_not_found(client, jobmon_default):
    answer = get(client, "<b>laod", **client[1])
    assert answer.status_code == 404
    assert "&lt;b&gt;laod" in answer.text


def test_a_database_that_is_away_is_said_in_a_line(client, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", "postgresql://u:secret@127.0.0.1:1/db")
    answer = get(client, "load", **client[1])
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "secret" not in answer.text
