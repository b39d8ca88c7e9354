from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.silences import matches
from airflow_jobmon.core.rendering.suggested_commands import (
    acknowledge_command,
    silence_command,
    typeable,
    unsilence_command,
)
from tests.support.hostile_alerts import texts

names = texts | st.text(min_size=1, max_size=30)


@given(names)
def test_a_copied_silence_command_matches_the_job_whatever_its_name(name):
    command = silence_command(name)
    assert command.isprintable()
    program, group, verb, glob, *_ = shlex.split(command)
    assert (program, group, verb) == ("airflow", "jobmon", "silence")
    assert not glob.startswith("-")
    assert matches(glob, name)


@given(names)
def test_an_unsilence_command_names_the_silence_exactly_or_is_missing(name):
    command = unsilence_command(name)
    assert command is None or shlex.split(command)[3] == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("nightly-invoices", "nightly-invoices", id="a plain name"),
        pytest.param("-rf", "?rf", id="a name that reads like an option"),
        pytest.param("a\nrm -rf ~\n", "a?rm -rf ~?", id="lines of its own"),
        pytest.param("a\x03b\u202e", "a?b?", id="what a terminal acts on"),
        pytest.param("weiß nicht", "weiß nicht", id="letters from elsewhere"),
        pytest.param("50%*", "50%*", id="a glob's own letters"),
    ],
)
def test_characters_that_cannot_be_typed_become_wildcards(name, shown):
    assert typeable(name) == shown


def test_an_incident_is_acknowledged_by_its_number():
    assert shlex.split(acknowledge_command(17))[:5] == ["airflow", "jobmon", "ack", "--id", "17"]
