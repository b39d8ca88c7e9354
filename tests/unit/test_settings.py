from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_jobmon import settings
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.get_provider_info import get_provider_info
from airflow_jobmon.settings import OPTIONS, Settings, read_settings

DECLARED = get_provider_info()["config"]["jobmon"]["options"]


def test_the_options_read_are_exactly_those_declared_to_airflow():
    assert set(DECLARED) == set(OPTIONS)


def test_the_declared_defaults_are_the_defaults_of_settings():
    assert read_settings({option: DECLARED[option]["default"] for option in OPTIONS}) == Settings()


@pytest.mark.parametrize("option", [option for option in DECLARED if DECLARED[option]["example"]])
def test_the_declared_examples_can_be_read(option):
    assert getattr(read_settings({option: DECLARED[option]["example"]}), option) != getattr(Settings(), option)


def test_only_the_token_is_sensitive():
    assert [option for option in DECLARED if DECLARED[option]["sensitive"]] == ["api_token"]


def test_an_option_that_does_nothing_yet_says_so():
    assert DECLARED["heartbeat_conn_id"]["description"].startswith("Reserved, not used yet: ")


def test_an_absent_or_empty_option_keeps_its_default():
    assert read_settings({}) == read_settings(dict.fromkeys(OPTIONS)) == read_settings(dict.fromkeys(OPTIONS, " "))


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        pytest.param("channels", "slack_a, smtp_b,slack_a,", ("slack_a", "smtp_b"), id="each channel once, in order"),
        pytest.param("unregistered_jobs", "Ignore", "ignore", id="a word in any case"),
        pytest.param("sweep_interval", "PT2M", timedelta(minutes=2), id="ISO 8601"),
        pytest.param("realert_interval", "1h30m", timedelta(minutes=90), id="a short duration"),
        pytest.param(
            "jobs_log_columns",
            "job_name=name, started_at = start",
            {"job_name": "name", "started_at": "start"},
            id="pairs",
        ),
        pytest.param("jobs_log_columns", '{"id": "a,b=c"}', {"id": "a,b=c"}, id="a column with commas, in JSON"),
        pytest.param(
            "status_words", "failed=error| aborted", {"failed": ("error", "aborted")}, id="several words for a status"
        ),
        pytest.param(
            "status_words",
            '{"success": ["ok"], "failed": "x|y"}',
            {"success": ("ok",), "failed": ("x", "y")},
            id="JSON",
        ),
    ],
)
def test_an_option_is_read(option, text, value):
    assert getattr(read_settings({option: text}), option) == value


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        pytest.param("sweep_interval", "30", "'30' is not a valid duration", id="a bare number"),
        pytest.param("sweep_interval", "0s", "0s is not a positive duration", id="no time at all"),
        pytest.param("realert_interval", "soon", "'soon' is not a valid duration", id="a word"),
        pytest.param("unregistered_jobs", "lern", "did you mean 'learn'?", id="a misspelt word"),
        pytest.param("unregistered_jobs", "all", "one of learn, defaults, ignore", id="an unknown word"),
        pytest.param("channels", "a b;c", "'a b;c' is not a connection id; separate ids by commas", id="a semicolon"),
        pytest.param("channels", "a, b c", "'b c' is not a connection id; separate ids by commas", id="a space"),
        pytest.param("jobs_log_columns", "jobname=name", "did you mean 'job_name'?", id="a misspelt column"),
        pytest.param("jobs_log_columns", "name", "'name' is not of the form ours=theirs", id="no equals sign"),
        pytest.param("jobs_log_columns", "id=", "'id=' is not of the form ours=theirs", id="nothing after it"),
        pytest.param("jobs_log_columns", "id=a, id=b", "'id' is given twice", id="a column twice"),
        pytest.param("jobs_log_columns", '{"id": "a", "id": "b"}', "'id' is given twice", id="twice in JSON"),
        pytest.param(
            "jobs_log_columns", '{"id": 3}', "id needs the name of a column, not 3", id="a number for a column"
        ),
        pytest.param("jobs_log_columns", '{"id": }', "malformed JSON at character 8", id="malformed JSON"),
        pytest.param("jobs_log_columns", '["id"]', "is not a JSON object", id="a JSON list"),
        pytest.param("status_words", "fail=error", "did you mean 'failed'?", id="a misspelt status"),
        pytest.param(
            "status_words", "failed=done, success=done", "listed for both failed and success", id="a word twice"
        ),
        pytest.param("status_words", '{"failed": [1]}', "failed needs the words", id="a number for a word"),
        pytest.param("status_words", '{"failed": []}', "failed needs the words", id="no word at all"),
    ],
)
def test_a_mistake_names_its_option_and_the_remedy(option, text, says):
    with pytest.raises(ConfigurationError) as caught:
        read_settings({option: text})
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"[jobmon] {option}: ")
    assert f"AIRFLOW__JOBMON__{option.upper()}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        pytest.param("https://airflow.example/team/", "https://airflow.example/team", id="with a path"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_the_base_url_has_no_trailing_slash(configured, expected):
    assert read_settings({}, base_url=configured).base_url == expected


def test_settings_are_read_from_airflow_when_asked_for(monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack_a")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example/")
    before = settings.load()
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack_b")
    assert (before.channels, before.base_url, settings.load().channels) == (
        ("slack_a",),
        "http://airflow.example",
        ("slack_b",),
    )


def test_the_token_may_come_from_a_command(monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__API_TOKEN_CMD", "echo from-a-command")
    assert settings.load().api_token == "from-a-command"
