"""Whom a silence means, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.silences import Silence, in_force, matches

NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)


def silence(name: str, **lasts) -> Silence:
    return Silence(name, NOW + timedelta(**lasts), "upgrade", "anna")


@pytest.mark.parametrize(
    ("glob", "job", "meant"),
    [
        pytest.param("load", "load", True, id="a name is itself"),
        pytest.param("load", "load-2", False, id="and no other"),
        pytest.param("load", "Load", False, id="capitals count"),
        pytest.param("billing-*", "billing-", True, id="a star may be nothing"),
        pytest.param("billing-*", "billing-eu\nwest", True, id="or anything, line ends too"),
        pytest.param("billing-*", "x-billing-1", False, id="from the beginning"),
        pytest.param("load-?", "load-7", True, id="a question mark is one character"),
        pytest.param("load-?", "load-", False, id="not none"),
        pytest.param("load-?", "load-\U0001f4a3", True, id="an emoji is one"),
        pytest.param("load[12]", "load[12]", True, id="brackets are themselves"),
        pytest.param("load[12]", "load1", False, id="and no set"),
        pytest.param("[!a]*", "[!a]b", True, id="not with a ! either"),
        pytest.param("load*", "load*", True, id="a job named with a star is meant by its name"),
        pytest.param("load*", "load-1", True, id="among others"),
        pytest.param("100%_\\", "100%_\\", True, id="what LIKE takes for more"),
        pytest.param("100%_\\", "100abc\\", False, id="is itself"),
    ],
)
def test_a_glob_matches_these_jobs(glob, job, meant):
    assert matches(glob, job) is meant


def meant_by(glob: str, name: str) -> bool:
    """The same by the definition, letter by letter."""
    if not glob:
        return not name
    if glob[0] == "*":
        return meant_by(glob[1:], name) or (bool(name) and meant_by(glob, name[1:]))
    return bool(name) and glob[0] in {"?", name[0]} and meant_by(glob[1:], name[1:])


@given(st.text("ab*?[]!-%_\\\n", max_size=8), st.text("ab*?[]!-%_\\\n", max_size=8))
def test_matching_is_what_its_definition_says(glob, name):
    assert matches(glob, name) == meant_by(glob, name)


def test_many_stars_are_matched_quickly():
    assert not matches("*a" * 30 + "b", "a" * 2000)


def test_a_silence_is_over_at_its_end():
    until_now = silence("load", seconds=0)
    assert in_force([until_now], "load", NOW) is None
    assert in_force([until_now], "load", NOW - timedelta(microseconds=1)) is until_now


def test_of_several_silences_the_last_to_end_counts():
    listed = [silence("load", hours=1), silence("l*", hours=3), silence("x*", hours=9), silence("*", hours=2)]
    assert in_force(listed, "load", NOW) is listed[1]
