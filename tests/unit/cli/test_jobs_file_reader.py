from __future__ import annotations

import io
from datetime import timedelta

import pytest

from airflow_jobmon.cli.jobs_file_reader import file_source, read_jobs_file
from airflow_jobmon.errors import ConfigurationError


def read(tmp_path, text):
    path = tmp_path / "jobs.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_jobs_file(str(path)).jobs


def test_each_entry_of_the_list_becomes_a_job(tmp_path):
    nightly, often = read(tmp_path, "jobs:\n- name: nightly\n  schedule: 0 2 * * *\n- name: often\n  every: 15m\n")
    assert (nightly.name, nightly.schedule) == ("nightly", "0 2 * * *")
    assert (often.name, often.every) == ("often", timedelta(minutes=15))


@pytest.mark.parametrize(
    ("text", "expected_error"),
    [
        pytest.param("jobs:\n- name: a\n  grace: [1h\n", "line 4, column 1: malformed YAML", id="an open bracket"),
        pytest.param("jobs:\n\t- name: a\n", "line 2, column 1: malformed YAML", id="a tab"),
        pytest.param(
            "jobs:\n- name: a\n  schedule: */5 * * * *\n",
            "put a schedule that starts with * in quotes",
            id="a star first",
        ),
        pytest.param("jobs: \x1b\n", "malformed YAML", id="a control character"),
        pytest.param(b"jobs: \xff\n", "is not UTF-8 text (byte 6)", id="not UTF-8"),
        pytest.param(
            "jobs:\n- name: a\n  name: b\n", "line 3, column 3: malformed YAML: 'name' is given twice", id="no dash"
        ),
        pytest.param("", "there is no list under `jobs:`", id="an empty file"),
        pytest.param("job:\n- name: a\n", "'job' was found, is it a typo?", id="a misspelt top"),
        pytest.param("- name: a\n", "there is no list under `jobs:`", id="a list at the top"),
        pytest.param("jobs: []\n", "is not a list of jobs", id="no jobs"),
        pytest.param("jobs:\n  name: a\n", "is not a list of jobs", id="one job without a dash"),
        pytest.param(
            "jobs: [{name: a}]\nversion: 1\n", "unknown key 'version'; only `jobs:` and `source:`", id="another key"
        ),
        pytest.param("jobs: null\n", "is not a list of jobs", id="nothing under it"),
        pytest.param("jobs: [{name: 2025-13-45}]\n", "malformed YAML or JSON: month must be in 1..12", id="no date"),
        pytest.param(
            "jobs: [{name: 2025-11-13}]\n", "is a date and not text; put it in quotes", id="a date for a name"
        ),
        pytest.param(
            "jobs: [{name: on}]\n", "True is true or false and not text; put it in quotes", id="a word YAML reads"
        ),
        pytest.param("jobs: [{name: a, every: 1:30}]\n", "every: 90 is not a valid duration", id="a number of base 60"),
        pytest.param("jobs: [{name: a, grace:}]\n", "grace: null is not a valid duration", id="nothing after a colon"),
        pytest.param('jobs: [{name: "a\\0b"}]\n', "character 2 is \\x00", id="a NUL"),
        pytest.param('{"jobs": [{"name": "a", "name": "b"}]}', "JSON: 'name' is given twice", id="JSON's key twice"),
        pytest.param("a: " + "[" * 3000, "malformed YAML", id="too deep"),
        pytest.param(
            "jobs: [{name: a}, {name: b}, {name: a}]\n",
            "job 'a' is entry 1 and entry 3 of `jobs:`; keep one",
            id="a job twice",
        ),
        pytest.param("jobs: [nightly]\n", "entry 1 of `jobs:` is 'nightly', which is not a job", id="only a name"),
        pytest.param("jobs: [{nam: a}]\n", "entry 1 of `jobs:` has no name; 'nam' was found", id="no name"),
        pytest.param("jobs: [{name: 7}]\n", "job '7': name: ", id="a number for a name"),
        pytest.param("jobs: [{name: a, gracee: 1h}]\n", "did you mean 'grace'?", id="an unknown field"),
        pytest.param("jobs: [{name: a, grace: 90}]\n", "90 is not a valid duration", id="a bare number"),
        pytest.param("jobs: [{name: a, schedule: 0 25 * * *}]\n", "is not a cron expression", id="a bad cron"),
        pytest.param("jobs: [{name: a, timezone: Europe/Berln}]\n", "did you mean 'Europe/Berlin'?", id="a bad zone"),
    ],
)
def test_an_error_names_its_place(tmp_path, text, expected_error):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert expected_error in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "jobs.yaml"))
    assert "\n" not in str(caught.value)


def test_the_first_five_errors_are_reported_at_once(tmp_path):
    entries = "".join(f"- {{name: j{number}, grace: x}}\n" for number in range(9))
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f"jobs:\n{entries}")
    message = str(caught.value)
    assert [f"job 'j{number}'" in message for number in range(9)] == [True] * 5 + [False] * 4
    assert message.endswith("and 4 more jobs with errors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"jobs\.yaml: cannot be read \(No such file or directory\)"):
        read_jobs_file(str(tmp_path / "jobs.yaml"))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        pytest.param("jobs: [{name: a}]\n", "file:jobs.yaml", id="the file's name"),
        pytest.param("source: billing\njobs: [{name: a}]\n", "file:billing", id="what it says"),
        pytest.param("source: file:etl/jobs\njobs: [{name: a}]\n", "file:etl/jobs", id="as it is listed"),
    ],
)
def test_the_source_is_given_in_the_file_or_by_its_name(tmp_path, text, source):
    path = tmp_path / "jobs.yaml"
    path.write_text(text)
    assert read_jobs_file(str(path)).source == source


@pytest.mark.parametrize(
    "source",
    ["", " ", "dag:health/check", "file:", "a\nb", "x" * 201, 7, None, ["a"], "file:dag:x", "a\u202eb"],
)
def test_an_invalid_source_name_is_refused(source):
    with pytest.raises(
        ConfigurationError, match=r"--source .* is not a valid source name.*; write a short one, like"
    ) as caught:
        file_source(source, given_by="--source")
    assert str(caught.value).isprintable()


def test_standard_input_has_no_source_of_its_own(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("jobs: [{name: nächtlich}]".encode())))
    read = read_jobs_file("-")
    assert ([job.name for job in read.jobs], read.source) == (["nächtlich"], None)


def test_an_error_in_standard_input_names_it(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"job: []")))
    with pytest.raises(ConfigurationError, match=r"^standard input: there is no list under `jobs:`"):
        read_jobs_file("-")
