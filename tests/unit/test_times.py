"""Durations, as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.times import format_duration, parse_duration, roughly


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(2.96, "3.0 s", id="tenths below ten seconds"),
        pytest.param(59.4, "59 s", id="seconds below a minute"),
        pytest.param(59.6, "1 min 0 s", id="which is a minute when rounded"),
        pytest.param(119.7, "2 min 0 s", id="no sixty seconds beside the minutes"),
        pytest.param(3599.6, "1.0 h", id="no sixty minutes either"),
        pytest.param(26.2 * 3600, "26.2 h", id="hours up to two days"),
        pytest.param(76 * 3600, "3 d 4 h", id="days from then on"),
        pytest.param(-5, "0.0 s", id="never less than nothing"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds, said):
    assert roughly(timedelta(seconds=seconds)) == said


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=4000)))
def test_a_duration_that_was_written_is_read_back(duration):
    assert abs(parse_duration(format_duration(duration)) - duration) < timedelta(microseconds=2)
