"""The page when there is nothing to show, and the JSON that a program gets instead."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import pytest

from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run

HTML = {"Accept": "text/html"}


def test_an_unknown_job_is_404_with_similar_names(client, conn, jobmon_default):
    made, headers = client
    log_run(conn, "nightly-invoices")
    log_run(conn, "load")
    check_and_record(conn, Settings())
    answer = made.get("/jobmon/", params={"job_name": "nightly-invoice"}, headers=headers)
    assert answer.status_code == 404
    assert 'href="?job_name=nightly-invoices"' in answer.text
    assert ">load<" not in answer.text


def test_a_job_whose_runs_were_deleted_is_not_suggested_for_itself(client, conn, jobmon_default):
    for name in ("load-old", "load-new"):
        log_run(conn, name)
    check_and_record(conn, Settings())
    conn.execute("DELETE FROM public.jobs_log WHERE job_name = 'load-old'")
    made, headers = client
    answer = made.get("/jobmon/", params={"job_name": "load-old"}, headers={**headers, **HTML})
    assert answer.status_code == 404
    assert re.findall(r'href="\?job_name=([^"]*)"', answer.text) == ["load-new"]


@pytest.mark.parametrize("params", [{}, {"job_name": "load"}], ids=["the first page", "a job's page"])
def test_an_unavailable_database_is_503_with_advice_and_retries(client, monkeypatch, params):
    from airflow_jobmon.web import database

    made, headers = client
    monkeypatch.setattr(database, "_PATIENCE", 0.2)
    monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", "postgresql://u:secret@127.0.0.1:1/db")
    answer = made.get("/jobmon/", params=params, headers=headers)
    assert answer.status_code == 503
    assert "The database is unavailable" in answer.text
    assert "airflow jobmon doctor" in answer.text
    assert '<meta http-equiv="refresh" content="30">' in answer.text
    assert "secret" not in answer.text


def test_a_schema_that_was_never_migrated_says_what_to_run(client, empty_database, airflow_connection):
    made, headers = client
    airflow_connection("jobmon_default", empty_database)
    answer = made.get("/jobmon/", headers=headers)
    assert answer.status_code == 503
    assert "The database is not ready" in answer.text
    assert "airflow jobmon migrate" in answer.text


def test_a_user_without_permission_gets_a_self_contained_page(client, conn, jobmon_default):
    made, _ = client
    answer = made.get("/jobmon/", headers={"Authorization": "Bearer nonsense", **HTML})
    assert answer.status_code == 403
    assert "You do not have access to this page" in answer.text
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "static/page." not in answer.text
    assert made.get("/jobmon/check-job-health", headers={"Authorization": "Bearer nonsense"}).json()["detail"]


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"job_name": ""}, id="an empty name"),
        pytest.param({"job_name": "x" * 2001}, id="a name that is too long"),
        pytest.param({"job_name": "a\x00b"}, id="a name that no database can hold"),
        pytest.param({"health": "splendid"}, id="a health there is not"),
        pytest.param({"page": "0"}, id="no page"),
        pytest.param({"q": "x" * 201}, id="a search that is too long"),
    ],
)
def test_an_invalid_parameter_is_refused_with_a_reason(client, conn, jobmon_default, params):
    made, headers = client
    answer = made.get("/jobmon/", params=params, headers={**headers, **HTML})
    assert answer.status_code == 422
    assert "text/html" in answer.headers["content-type"]
    assert f"{next(iter(params))}: " in answer.text
