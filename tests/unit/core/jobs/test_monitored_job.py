"""The registry entry: what it accepts, and its errors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job
from airflow_jobmon.errors import ConfigurationError
from tests.support.job_strategies import FIELDS_DRAWN, monitored_jobs


def refusal(**fields: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_job({"name": "load", **fields})
    return str(raised.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"schedule": "61 * * * *"}, "schedule: '61 * * * *' is not a cron expression", id="bad cron"),
        pytest.param({"schedule": "0 0 30 2 *"}, "ever comes due", id="a day that never comes"),
        pytest.param({"schedule": "0 0 */30 * MON#2"}, "no day matches in 50 years", id="nor does this"),
        pytest.param({"schedule": "30 2 * *"}, "(it has 4 fields); write five fields", id="four fields"),
        pytest.param({"schedule": "9" * 5000 + " * * * *"}, "is not a cron expression", id="a number beyond reading"),
        pytest.param({"schedule": "@daily"}, "schedule: '@daily' is not supported; write 0 0 * * *", id="@daily"),
        pytest.param({"schedule": "0 0 2 * * *"}, "has six fields; write five", id="seconds"),
        pytest.param({"schedule": 5}, "schedule: 5 is a number and not text", id="a number for a schedule"),
        pytest.param(
            {"timezone": "Europe/Berln"},
            "timezone: 'Europe/Berln' is unknown; did you mean 'Europe/Berlin'?",
            id="unknown zone",
        ),
        pytest.param({"timezone": "../etc/passwd"}, "timezone: '../etc/passwd' is unknown", id="a path for a zone"),
        pytest.param({"grace": "-1h"}, "grace: '-1h' is negative; write a duration like 90s", id="negative text"),
        pytest.param({"grace": timedelta(seconds=-1)}, "grace: -1s is negative; write 0s or more", id="negative"),
        pytest.param(
            {"every": timedelta(seconds=-1)}, "every: -1s is negative", id="negative where nothing is refused too"
        ),
        pytest.param({"every": "0s"}, "every: 0s is not a positive duration; write it like 90s", id="zero"),
        pytest.param({"every": 60}, "every: 60 is not a valid duration; write it like 90s", id="no unit"),
        pytest.param({"grace": ["1h"]}, "grace: ['1h'] is not a valid duration", id="a list for a duration"),
        pytest.param({"grace": None}, "grace: null is not a valid duration", id="null for a duration"),
        pytest.param({"realert_interval": 24}, "realert_interval: 24 is not a valid duration", id="no unit, optional"),
        pytest.param({"timeout": "99999d"}, "timeout: 99999d is longer than ten years", id="beyond the calendar"),
        pytest.param({"shedule": "0 2 * * *"}, "shedule: no such field; did you mean 'schedule'?", id="typo"),
        pytest.param({"qqq": 1}, "qqq: no such field; the fields are name, schedule, timezone", id="nothing near"),
        pytest.param({"schedule": "0 2 * * *", "every": "1h"}, "schedule and every are both set; keep one", id="both"),
        pytest.param(
            {"min_success_rate": 101}, "min_success_rate: 101 is out of bounds; write at most 100", id="over a hundred"
        ),
        pytest.param(
            {"min_success_rate": "95%"}, "min_success_rate: '95%' is text and not a number", id="text for a rate"
        ),
        pytest.param({"min_success_rate": float("nan")}, "min_success_rate: ", id="not a number"),
        pytest.param({"window_days": "30"}, "window_days: '30' is text and not a whole number", id="text for a number"),
        pytest.param(
            {"window_days": True},
            "window_days: True is true or false and not a whole number",
            id="a truth for a number",
        ),
        pytest.param({"window_days": 1.5}, "window_days: 1.5 is a number and not a whole number", id="a fraction"),
        pytest.param({"failures_to_alert": 0}, "failures_to_alert: 0 is out of bounds; write at least 1", id="never"),
        pytest.param({"enabled": "yes"}, "enabled: 'yes' is neither true nor false", id="text for a truth"),
        pytest.param(
            {"runbook_url": "javascript:alert(1)"}, "is not a valid link; it must start with https://", id="not a link"
        ),
        pytest.param({"runbook_url": "https://"}, "runbook_url: 'https://' is not a valid link", id="no host"),
        pytest.param(
            {"runbook_url": "https://[::1"}, "runbook_url: 'https://[::1' is not a valid link", id="half an IP"
        ),
        pytest.param({"logs_url": "https://a b"}, "logs_url: 'https://a b' is not a valid link", id="a space"),
        pytest.param({"owner": ["ops"]}, "owner: ['ops'] is a list and not text; write text", id="a list for text"),
        pytest.param({"owner": 7}, "owner: 7 is a number and not text; put it in quotes", id="a number for text"),
        pytest.param({"owner": ""}, "owner: it is empty; write some text, or leave the field out", id="empty"),
        pytest.param({"owner": "a\nb"}, "owner: character 2 is \\n, which is not allowed", id="a new line"),
        pytest.param(
            {"tags": "billing"},
            "tags: 'billing' is text and not a list; write it like [billing, nightly]",
            id="text for a list",
        ),
        pytest.param({"tags": None}, "tags: it is null; leave it out for its default", id="null for a list"),
        pytest.param({"tags": ["a", 7]}, "tags.1: 7 is a number and not text", id="a number in a list"),
        pytest.param(
            {"channels": "slack_ops, mail_ops"},
            "channels: 'slack_ops, mail_ops' is text and not a list; write it like [slack_ops",
            id="channels as text",
        ),
        pytest.param(
            {"channels": ["slack_ops, mail_ops"]},
            "channels.0: 'slack_ops, mail_ops' is not a valid connection id",
            id="two channels in one",
        ),
        pytest.param({"name": ""}, "a job without a name: name: it is empty", id="no name"),
        pytest.param(
            {"name": None}, "a job without a name: name: it is null; write the job_name", id="null for a name"
        ),
        pytest.param(
            {"name": 7}, "job '7': name: 7 is a number and not text; put it in quotes", id="a number for a name"
        ),
        pytest.param({"name": " load"}, "name: ' load' starts or ends with a space", id="a space before it"),
        pytest.param(
            {"name": "lo\0ad"}, "job 'lo\\x00ad': name: character 3 is \\x00, which is not allowed", id="a NUL"
        ),
        pytest.param({"name": "lo\x1bad"}, "name: character 3 is \\x1b", id="an escape"),
        pytest.param({"name": "lo\ud800ad"}, "name: character 3 is \\ud800", id="half a character"),
        pytest.param({"name": "x" * 501}, "name: it has 501 characters ('xxx", id="too long"),
    ],
)
def test_a_mistake_names_job_field_and_fix(fields, said):
    message = refusal(**fields)
    assert said in message
    assert message.startswith(("job '", "a job without a name: "))
    assert message.isprintable()


def test_all_mistakes_are_reported_at_once_under_one_name():
    message = refusal(grce="1h", schedule="nightly", timezone="Mars", window_days=0)
    assert [part.split(": ")[-2].split()[-1] for part in message.split("; ") if part.count(": ")] == [
        "schedule",
        "timezone",
        "window_days",
        "grce",
    ]
    assert message.count("'load'") == 1


def test_a_mistake_in_a_dag_file_is_reported_in_the_same_words():
    with pytest.raises(ConfigurationError, match="job 'load': gracee: no such field; did you mean 'grace'"):
        MonitoredJob(name="load", gracee="1h")  # type: ignore[call-arg]


@given(
    st.dictionaries(
        st.text(max_size=5) | st.sampled_from(sorted(MonitoredJob.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=5,
        ),
    )
)
def test_any_mapping_is_a_job_or_an_error_in_one_line(fields):
    try:
        job = read_job(fields)
    except ConfigurationError as error:
        said = str(error)
        assert "\n" not in said
    else:
        assert read_job(job.model_dump(mode="json", exclude_unset=True)) == job


@given(monitored_jobs())
def test_a_job_is_read_from_its_own_json_as_it_was(job):
    stored = job.model_dump(mode="json", exclude_unset=True)
    again = read_job(stored)
    assert (again, again.model_fields_set) == (job, job.model_fields_set)
    assert again.model_dump(mode="json", exclude_unset=True) == stored


def test_the_jobs_that_are_drawn_have_every_field():
    assert set(MonitoredJob.model_fields) == FIELDS_DRAWN


def test_lists_lose_duplicates():
    job = MonitoredJob(name="load", tags=("b", "a", "b"), channels=("mail", "slack", "mail"))
    assert (job.tags, job.channels) == (("a", "b"), ("mail", "slack"))
