"""Assets that are updated by jobs outside Airflow."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from airflow.sdk import Asset
from airflow.serialization.encoders import encode_asset_like
from airflow.triggers.base import BaseEventTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_jobmon.assets import job_run_asset
from airflow_jobmon.errors import ConfigurationError

HOSTILE = [
    "a#b",
    "[",
    "a]b/",
    "trailing/",
    "///",
    "..",
    ".",
    " ",
    "a b",
    "ünïcode",
    "日本",
    "{{ 7*7 }}",
    "%23",
    "?q=1",
    "\n",
]
# Short enough for Airflow's 1,500 characters even if each is quoted as twelve.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=100)


@pytest.mark.parametrize("job", HOSTILE)
def test_a_hostile_name_is_quoted_and_airflow_does_not_change_the_uri(job):
    asset = job_run_asset(job)
    assert asset.name == f"jobmon:run:{job}"
    assert asset.uri.startswith("x-jobmon://run/")
    assert unquote(asset.uri.removeprefix("x-jobmon://run/")) == job
    assert not set(asset.uri.removeprefix("x-jobmon://run/")) & set("/#?[] ")


@given(names, names)
def test_two_jobs_share_a_uri_only_if_they_are_the_same_job(one, other):
    assert (job_run_asset(one).uri == job_run_asset(other).uri) == (one == other)


@settings(deadline=None)  # the first call imports the serialization of Airflow
@given(names)
def test_the_same_arguments_give_the_same_serialised_asset(job):
    assert encode_asset_like(job_run_asset(job)) == encode_asset_like(job_run_asset(job))


def test_an_asset_created_elsewhere_without_its_watcher_is_the_same_asset():
    asset = job_run_asset("nightly load#1/")
    assert Asset(name=asset.name, uri=asset.uri) == Asset(name=asset.name, uri=asset.uri)
    assert Asset(name=asset.name, uri=asset.uri).uri == asset.uri


def test_airflow_stores_the_trigger_by_path_and_arguments():
    """They are in Airflow's database: a change would stop the watchers of every installation."""
    [watcher] = job_run_asset("nightly").watchers
    assert isinstance(watcher.trigger, BaseEventTrigger)
    assert watcher.trigger.serialize() == (
        "airflow_jobmon.triggers.JobRunTrigger",
        {"job_name": "nightly", "conn_id": "jobmon_default"},
    )


def test_another_connection_is_another_watcher():
    [one], [other] = job_run_asset("nightly").watchers, job_run_asset("nightly", conn_id="other").watchers
    hashes = {BaseEventTrigger.hash(*watcher.trigger.serialize()) for watcher in (one, other)}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("job", "said"),
    [
        pytest.param("", "give the name", id="empty"),
        pytest.param(None, "give the name", id="none"),
        pytest.param("a\0b", "cannot store", id="nul"),
        pytest.param("\ud800", "cannot store", id="lone surrogate"),
        pytest.param("ü" * 500, "Airflow stores 1500", id="too long once quoted"),
    ],
)
def test_a_name_that_cannot_be_watched_is_refused_in_one_line(job, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        job_run_asset(job)
    assert "\n" not in str(caught.value)
