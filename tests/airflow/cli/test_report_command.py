"""`airflow jobmon report`."""

from __future__ import annotations

import json

import pytest

from tests.support.http_server import http_server, reply
from tests.support.logged_runs import log_run


@pytest.fixture
def webhook(monkeypatch):
    with http_server(reply(200)) as server:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": server.url}))
        yield server


@pytest.mark.parametrize(
    ("kind", "title"), [("daily", "Morning check: 1 critical"), ("weekly", "Weekly review: 1 job")]
)
def test_a_report_is_printed_as_text_and_not_sent(jobmon, conn, webhook, monkeypatch, kind, title):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "hook")
    log_run(conn, "load", "failed", error_message="disk full")
    made = jobmon("report", kind)
    assert made.code == 0
    assert title in made.out
    assert webhook.requests == []


def test_json_has_the_figures(jobmon, conn):
    log_run(conn, "load", records_updated=7)
    made = json.loads(jobmon("report", "weekly", "-o", "json").out)
    assert made["details"]["jobs"][0]["week"]["records_updated"] == 7


def test_a_report_is_sent_to_the_given_channels(jobmon, conn, webhook):
    sent = jobmon("report", "daily", "--send", "--channels", "hook")
    assert (sent.code, len(webhook.requests)) == (0, 1)
    assert "channel hook: sent" in sent.err


def test_a_page_is_kept_and_its_uri_reported(jobmon, conn, tmp_path):
    kept = jobmon("report", "weekly", "--keep-at", str(tmp_path / "kept"))
    [page] = (tmp_path / "kept").iterdir()
    assert f"kept at file://{page}" in kept.err


@pytest.mark.parametrize(
    ("arguments", "expected_error"),
    [
        pytest.param(("daily", "--channels", "hook"), "add --send", id="channels without sending"),
        pytest.param(("daily", "--keep-at", "x"), "the daily report has none", id="a page of the digest"),
        pytest.param(("weekly", "--keep-at", "nosuch://x"), "cannot open nosuch://x", id="an unknown place"),
        pytest.param(("daily", "--send", "--channels", "nobody"), "channel nobody: ", id="a channel that is not there"),
    ],
)
def test_bad_input_is_an_error(jobmon, conn, arguments, expected_error):
    refused = jobmon("report", *arguments)
    assert refused.code == 1
    assert expected_error in refused.err


def test_a_report_without_any_channel_warns(jobmon, conn):
    sent = jobmon("report", "daily", "--send")
    assert sent.code == 0
    assert "warning: the report was not sent" in sent.err
    assert "set [jobmon] channels (AIRFLOW__JOBMON__CHANNELS)" in sent.err
