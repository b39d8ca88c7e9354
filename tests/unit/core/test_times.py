from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.core.times import relative

NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("off", "shown"),
    [
        pytest.param(timedelta(seconds=29), "now", id="within half a minute"),
        pytest.param(timedelta(seconds=30), "1 min", id="from half a minute on"),
        pytest.param(timedelta(minutes=89), "89 min", id="below one and a half hours"),
        pytest.param(timedelta(minutes=91), "2 h", id="above it"),
        pytest.param(timedelta(hours=35), "35 h", id="below one and a half days"),
        pytest.param(timedelta(hours=36), "2 d", id="above it, in days"),
        pytest.param(timedelta(days=400), "400 d", id="long"),
    ],
)
def test_a_relative_time_has_one_unit(off, shown):
    assert relative(NOW - off, NOW) == (shown if shown == "now" else f"{shown} ago")
    assert relative(NOW + off, NOW) == (shown if shown == "now" else f"in {shown}")
