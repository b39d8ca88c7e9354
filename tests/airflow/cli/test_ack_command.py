"""`airflow jobmon ack`."""

from __future__ import annotations

import json

import pytest


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
