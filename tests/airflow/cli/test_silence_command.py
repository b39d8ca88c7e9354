"""`airflow jobmon silence` and `unsilence`."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta

import pytest


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
