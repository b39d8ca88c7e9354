"""What a channel's delivery proves, and which drills are refused before they start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.drills.drills import (
    Delivery,
    DrillResult,
    Step,
    accepted_by,
    check_drill,
    is_settled,
    limit_of,
    read_within,
    simulated_error,
)
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.runs import DRILL_PREFIX
from airflow_jobmon.core.reports.drill_report import drill_report
from airflow_jobmon.errors import ConfigurationError
from tests.support.hostile_alerts import texts

NOW = datetime(2025, 11, 13, 2, 5, tzinfo=UTC)
LIMIT = timedelta(minutes=1)


def delivery(state: str, after: float | None = None, *, attempts: int = 1, error: str | None = None) -> Delivery:
    return Delivery("slack", state, attempts, None if after is None else NOW + timedelta(seconds=after), error)


@pytest.mark.parametrize(
    ("found", "ok", "observed"),
    [
        pytest.param(delivery("sent", 0.04), True, "accepted", id="in time"),
        pytest.param(delivery("sent", 60), True, "accepted", id="just in time"),
        pytest.param(delivery("sent", 60.001), False, "accepted, but too late", id="too late"),
        pytest.param(
            delivery("sent", 1, error="refused: b@x: 550"), False, "accepted, but refused: b@x: 550", id="not by all"
        ),
        pytest.param(delivery("dead", error="404 gone"), False, "refused for good: 404 gone", id="dead"),
        pytest.param(delivery("pending", error="503"), False, "not accepted in 1m: 503; still retrying", id="down"),
        pytest.param(
            delivery("pending", attempts=0),
            False,
            "no attempt in 1m: no process delivers to this channel; run: airflow jobmon doctor",
            id="no deliverer",
        ),
        pytest.param(delivery("silenced", error="until noon"), False, "silenced: until noon", id="silenced"),
    ],
)
def test_a_channel_accepted_the_whole_message_in_time_or_the_step_says_why_not(found, ok, observed):
    step = accepted_by(found, NOW, LIMIT)
    assert (step.ok, step.observed) == (ok, observed)


@given(
    st.sampled_from(["pending", "sent", "dead", "silenced"]),
    st.none() | st.floats(0, 1e6),
    st.integers(0, 9),
    st.none() | texts,
    st.floats(0, 600),
)
def test_only_a_settled_delivery_that_was_sent_passes(state, after, attempts, error, seconds):
    found = delivery(state, after, attempts=attempts, error=error)
    step = accepted_by(found, NOW, timedelta(seconds=seconds))
    assert step.observed.isprintable()
    if step.ok:
        assert state == "sent"
        assert is_settled(found, timedelta(0), timedelta(seconds=seconds))


@pytest.mark.parametrize(("kind", "minutes"), [("smtp", 5), ("resend", 5), ("slackwebhook", 1), ("http", 1), (None, 1)])
def test_mail_may_take_five_minutes_and_other_channels_one(kind, minutes):
    assert limit_of(kind) == timedelta(minutes=minutes)


def test_the_simulated_error_is_unique_and_marks_a_drill():
    one, other = simulated_error(uuid4()), simulated_error(uuid4())
    assert one != other
    assert one.startswith(f"{DRILL_PREFIX} - Please ignore this simulated failure")


@pytest.mark.parametrize(
    ("drill", "job_name", "said"),
    [
        ("fire", "a", "drill is 'fire'; use one of failure, missed, end-to-end"),
        (None, "a", "drill is 'None'"),
        ("failure", "", "job_name is ''"),
        ("failure", "\t ", "which is blank"),
        ("failure", None, "job_name is None"),
        ("failure", "a\0", "cannot store"),
    ],
)
def test_an_unknown_drill_or_an_impossible_name_is_refused(drill, job_name, said):
    with pytest.raises(ConfigurationError, match=said):
        check_drill(drill, job_name)


@pytest.mark.parametrize("within", ["0s", timedelta(0), "61m", timedelta(seconds=-1), "1"])
def test_the_time_a_drill_may_wait_is_bounded(within):
    with pytest.raises(ConfigurationError):
        read_within(within)


def test_the_report_lists_failed_steps_first():
    steps = (Step("a", "x", "x", ok=True), Step("b", "x", "y", ok=False, seconds=1.5))
    report = drill_report(DrillResult(uuid4(), "failure", "nightly", NOW, steps))
    assert (report.title, report.severity) == ("Alert Drill Failed: nightly", Health.CRITICAL)
    assert report.summary == "The failure drill failed 1 of 2 steps: b: y."
    assert report.sections[0].table is not None
    assert report.sections[0].table.rows[0] == ("✗ b", "x", "y", "1.50")
    good = drill_report(DrillResult(uuid4(), "failure", "nightly", NOW, steps[:1]))
    assert (good.severity, good.summary) == (Health.OK, "The failure drill passed: 1 step as expected.")
