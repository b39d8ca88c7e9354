"""`airflow jobmon incidents`."""

from __future__ import annotations

import json

import pytest

from tests.support.logged_runs import log_run


def test_incidents_are_listed(jobmon, conn):
    log_run(conn, "nightly", "failed")
    jobmon("check", "--record")
    [incident] = json.loads(jobmon("incidents", "--job", "nightly", "-o", "json").out)
    assert (incident["job_name"], incident["kind"], incident["resolved_at"]) == ("nightly", "failed", None)
    none = jobmon("incidents", "--job", "other")
    assert (none.code, none.out, none.err) == (0, "", "no open incidents\n")


def test_the_history_of_an_incident_is_shown(jobmon, failing):
    shown = jobmon("incidents", "--id", "1")
    assert shown.err.startswith("incident 1: failed, critical, notified: nightly: run of ")
    for what in ("opened", "noticed", "alert opened, pending", "failure counted"):
        assert what in shown.out
    whole = json.loads(jobmon("incidents", "--id", "1", "-o", "json").out)
    assert (whole["job_name"], whole["state"]) == ("nightly", "notified")
    assert {"at", "what", "channel", "said"} == set(whole["timeline"][0])


@pytest.mark.parametrize(
    ("args", "expected_error"),
    [
        pytest.param(["--id", "99"], "there is no incident 99; list all with", id="no such incident"),
        pytest.param(["--id", "1", "--job", "nightly"], "leave out --job", id="id and job"),
    ],
)
def test_an_invalid_request_for_a_history_is_an_error(jobmon, failing, args, expected_error):
    refused = jobmon("incidents", *args)
    assert (refused.code, refused.out) == (1, "")
    assert expected_error in refused.err
