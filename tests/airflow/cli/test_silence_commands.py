"""`airflow jobmon silence`, `unsilence`, `ack` and `incidents --id`."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.logged_runs import log_run


@pytest.fixture
def failing(jobmon, conn, monkeypatch):
    """A job `nightly` with one open incident, and a channel."""
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager")
    log_run(conn, "nightly", "failed", error_message="disk full")
    jobmon("check", "--record")


def test_a_silence_is_added_changed_listed_and_lifted(jobmon, failing):
    made = jobmon("silence", "night*", "--for", "2h", "--reason", "upgrade", "--by", "anna", "-o", "json")
    [row] = json.loads(made.out)
    assert (row["change"], row["jobs"], row["open_incidents"], row["by"]) == ("added", 1, 1, "anna")
    assert made.err == "silenced for 2.0 h\n"
    until = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    changed = jobmon("silence", "night*", "--until", until, "--reason", "longer", "-o", "json")
    assert json.loads(changed.out)[0]["change"] == "changed"
    assert "before, it was silenced until 2" in changed.err
    [listed] = json.loads(jobmon("silence", "--list", "-o", "json").out)
    assert (listed["name"], listed["reason"], listed["silenced_by"]) == ("night*", "longer", getpass.getuser())
    assert json.loads(jobmon("silence", "other", "--list", "-o", "json").out) == []
    lifted = jobmon("unsilence", "night*", "-o", "json")
    assert (lifted.code, json.loads(lifted.out)[0]["change"]) == (0, "lifted")
    assert jobmon("silence", "--list").err == "no silences in force\n"
    again = jobmon("unsilence", "night*")
    assert (again.code, again.err) == (0, "the silence had already ended\n")
    assert "lifted_by" in json.loads(jobmon("silence", "--all", "-o", "json").out)[0]


def test_lifting_one_of_two_silences_names_the_other(jobmon, failing):
    for name in ("nightly", "*"):
        jobmon("silence", name, "--for", "1h", "--reason", "upgrade")
    assert "still silenced by '*'" in jobmon("unsilence", "nightly").err


def test_a_name_without_a_job_is_silenced_with_a_note(jobmon, conn):
    made = jobmon("silence", "billing-*", "--for", "30m", "--reason", "upgrade")
    assert made.code == 0
    assert "no job matches 'billing-*' yet, jobs that appear later will be silenced" in made.err


@pytest.mark.parametrize(
    ("args", "expected_error"),
    [
        pytest.param([], "name the job (or a glob such as 'billing-*'), or give --list", id="no name"),
        pytest.param(["a"], "say how long to silence 'a': --for 2h, or --until TIME", id="no end"),
        pytest.param(["a", "--for", "2h"], "give a reason for silencing 'a'", id="no reason"),
        pytest.param(["a", "--for", "2h", "--reason", "  "], "give a reason for silencing 'a'", id="an empty reason"),
        pytest.param(
            ["a", "--for", "2h", "--until", "2099-01-01", "--reason", "x"], "not both", id="for and until at once"
        ),
        pytest.param(["a", "--for", "0s", "--reason", "x"], "--for 0s is not a positive duration", id="no time"),
        pytest.param(["a", "--for", "0", "--reason", "x"], "'0' is not a valid duration; write it like", id="no unit"),
        pytest.param(["a", "--for=-2h", "--reason", "x"], "'-2h' is not a valid duration", id="negative"),
        pytest.param(["a", "--for", "9999d", "--reason", "x"], "a year is the maximum", id="for ever"),
        pytest.param(
            ["a", "--until", "2025-01-01", "--reason", "x"],
            "--until 2025-01-01 is in the past; give a time in the future",
            id="past",
        ),
        pytest.param(
            ["a", "--until", "tomorrow", "--reason", "x"], "'tomorrow' is not a valid time; write", id="words"
        ),
    ],
)
def test_an_invalid_silence_is_a_one_line_error(jobmon, conn, args, expected_error):
    refused = jobmon("silence", *args)
    assert (refused.code, refused.out) == (1, "")
    assert expected_error in refused.err
    assert refused.err.count("\n") == 1
    assert json.loads(jobmon("silence", "--all", "-o", "json").out) == []


def test_lifting_a_silence_that_never_existed_exits_with_1(jobmon, conn):
    refused = jobmon("unsilence", "nightly")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: there is no silence of 'nightly'; see those in force with: airflow jobmon")


def test_an_incident_is_acknowledged_once_and_the_acknowledgement_withdrawn(jobmon, failing):
    [row] = json.loads(jobmon("ack", "nightly", "--note", "on it", "--by", "anna", "-o", "json").out)
    assert (row["change"], row["by"], row["note"], row["kind"]) == ("acknowledged", "anna", "on it", "failed")
    [again] = json.loads(jobmon("ack", "--id", str(row["id"]), "-o", "json").out)
    assert (again["change"], again["by"]) == ("already", "anna")
    [listed] = json.loads(jobmon("incidents", "-o", "json").out)
    assert (listed["state"], listed["acknowledged_by"]) == ("acknowledged", "anna")
    assert json.loads(jobmon("ack", "night*", "--undo", "-o", "json").out)[0]["change"] == "withdrawn"
    assert json.loads(jobmon("ack", "night*", "--undo", "-o", "json").out)[0]["change"] == "not acknowledged"


@pytest.mark.parametrize(
    ("args", "expected_error"),
    [
        pytest.param([], "give what to acknowledge: a job name, a glob, or --id N", id="nothing"),
        pytest.param(["nightly", "--id", "1"], "only one of them", id="name and id"),
        pytest.param(
            ["other"],
            "other has no open incident; list them with: airflow jobmon incidents",
            id="not open",
        ),
        pytest.param(["--id", "99"], "there is no incident 99", id="no such incident"),
        pytest.param(["nightly", "--undo", "--note", "x"], "--undo withdraws an acknowledgement", id="undo and note"),
        pytest.param(["--id", "1", "--kind", "failed"], "--id already selects one incident", id="id and kind"),
    ],
)
def test_an_invalid_acknowledgement_is_a_one_line_error(jobmon, failing, args, expected_error):
    refused = jobmon("ack", *args)
    assert (refused.code, refused.out) == (1, "")
    assert expected_error in refused.err
    assert refused.err.count("\n") == 1


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
