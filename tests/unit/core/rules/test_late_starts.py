"""Runs that came after their deadline: which of them were late, and the alert about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.evaluation import EvaluationContext
from airflow_jobmon.core.model.incidents import Action, IncidentState
from airflow_jobmon.core.rendering.messages import statement, title
from airflow_jobmon.core.rules.late_starts import MOST_STARTS, LateStart, PassedDeadline, late_runs_change, late_starts

DAILY = MonitoredJob(name="load", schedule="0 2 * * *", grace="1h")
HOURLY = MonitoredJob(name="load", every="1h", grace="10m")
NIGHT = datetime(2025, 11, 13, 3, tzinfo=UTC)
CONTEXT = EvaluationContext(NIGHT + timedelta(days=2), NIGHT - timedelta(days=9), timedelta(hours=24), None)


def at(clock: str, day: int = 13) -> datetime:
    return datetime.fromisoformat(f"2025-11-{day}T{clock}:00+00:00")


@pytest.mark.parametrize(
    ("job", "starts", "late"),
    [
        pytest.param(DAILY, [at("05:10")], [(NIGHT, at("05:10"))], id="two hours late"),
        pytest.param(DAILY, [at("02:00")], [], id="in time"),
        pytest.param(DAILY, [NIGHT], [], id="at the deadline"),
        pytest.param(DAILY, [at("05:10", 16)], [(NIGHT, at("05:10", 16))], id="several slots late is late once"),
        pytest.param(
            DAILY, [at("02:00"), at("02:30", 14), at("09:00", 15)], [(at("03:00", 15), at("09:00", 15))], id="later"
        ),
        pytest.param(
            HOURLY,
            [at("03:00"), at("05:00"), at("06:00"), at("08:30")],
            [(at("04:10"), at("05:00")), (at("07:10"), at("08:30"))],
            id="two of them",
        ),
    ],
)
def test_each_run_that_came_after_the_deadline_set_by_the_one_before_was_late(job, starts, late):
    found = late_starts(PassedDeadline(NIGHT, tuple(starts)), job.due_after)
    assert [(start.due_at, start.started_at) for start in found] == late


def test_if_not_all_starts_are_known_the_oldest_is_not_compared_with_the_deadline():
    starts = tuple(NIGHT + timedelta(hours=n + 5) for n in range(MOST_STARTS))
    assert late_starts(PassedDeadline(NIGHT, starts), HOURLY.due_after) == []
    assert len(late_starts(PassedDeadline(NIGHT, starts[1:]), HOURLY.due_after)) == 1


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_a_run_is_late_exactly_if_the_gap_before_it_was_too_long(gaps):
    starts, moment = [], NIGHT
    for gap in gaps:
        moment += timedelta(minutes=gap)
        starts.append(moment)
    found = late_starts(PassedDeadline(HOURLY.due_after(NIGHT), tuple(starts)), HOURLY.due_after)
    assert [late.started_at for late in found] == [s for s, gap in zip(starts, gaps, strict=True) if gap > 70]


def test_it_is_one_incident_that_was_open_from_the_deadline_to_the_start():
    change = late_runs_change([LateStart(NIGHT, at("05:10"))], DAILY, CONTEXT)
    assert (change.kind, change.action, change.next_state) == ("missed", Action.OPEN, IncidentState.NONE)
    assert (change.opened_at, change.resolved_at) == (NIGHT, at("05:10"))
    assert (change.alert.event, change.alert.at) == (AlertEvent.OPENED, NIGHT)
    assert title([change.alert], 100) == "✅ Job Missed and Recovered: load"
    assert statement(change.alert) == (
        "A run was due by 2025-11-13T03:00:00Z and started 2.2 h later, at 2025-11-13T05:10:00Z: missed and recovered"
    )


def test_several_late_runs_are_one_alert_with_the_first_and_the_last():
    late = [LateStart(NIGHT, at("05:10")), LateStart(at("03:00", 14), at("03:30", 14))]
    change = late_runs_change(late, DAILY, CONTEXT)
    assert (change.opened_at, change.resolved_at) == (NIGHT, at("03:30", 14))
    assert "2 runs were late" in change.alert.message
    assert "2025-11-14T03:30:00Z" in change.alert.message


def test_runs_due_before_the_installation_do_not_alert():
    installed = EvaluationContext(CONTEXT.now, NIGHT, CONTEXT.realert_interval, None)
    assert late_runs_change([LateStart(NIGHT, at("05:10"))], DAILY, installed) is None
