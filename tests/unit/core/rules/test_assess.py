"""The rules of health, at their edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, JobFacts, Kind, Window
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.rules.assess import DORMANT_AFTER, assess
from airflow_jobmon.core.schedule.learned import Gap, LearnedSchedule

NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAILY = MonitoredJob(name="load", schedule="0 2 * * *", timezone="Europe/Berlin")
ROLLING = MonitoredJob(name="load")


def run(started_at: datetime, *, took: timedelta | None = timedelta(seconds=10), status: str = "success") -> Run:
    return Run("1", "load", started_at, None if took is None else started_at + took, status)


def facts(newest: Run | None = None, **given) -> JobFacts:
    """Facts of a log whose newest run is this one; what it implies is filled in."""
    finished = newest if newest is not None and newest.status in {"success", "failed"} else None
    implied = {
        "newest": newest,
        "last_finished": finished,
        "last_success": finished if finished is not None and finished.status == "success" else None,
        "failed_in_a_row": 1 if finished is not None and finished.status == "failed" else 0,
        "registered_at": NOW - timedelta(days=90),
    }
    return JobFacts(job_name="load", **(implied | given))


@pytest.mark.parametrize(
    ("since_last_start", "kind", "status"),
    [
        pytest.param(timedelta(hours=23), None, Health.OK, id="within a day"),
        pytest.param(timedelta(hours=24), None, Health.OK, id="exactly when expected"),
        pytest.param(timedelta(hours=24) + TICK, Kind.LATE, Health.WARNING, id="just past expected"),
        pytest.param(timedelta(hours=25), Kind.LATE, Health.WARNING, id="exactly at due"),
        pytest.param(timedelta(hours=25) + TICK, Kind.MISSED, Health.CRITICAL, id="just past due"),
    ],
)
def test_without_a_schedule_a_run_is_missed_after_25_hours(since_last_start, kind, status):
    health = assess(facts(run(NOW - since_last_start)), ROLLING, now=NOW)
    assert [found.kind for found in health.findings] == ([kind] if kind else [])
    assert health.status is status


def test_a_missed_run_is_backdated_to_when_it_was_due_and_says_how_long_ago_the_last_one_was():
    health = assess(facts(run(NOW - timedelta(hours=26, minutes=12))), ROLLING, now=NOW)
    missed = health.finding(Kind.MISSED)
    assert missed.since == health.next_due_at == NOW - timedelta(hours=1, minutes=12)
    assert "26.2 hours" in missed.message
    assert health.hours_since_last_run == 26.2
    assert (missed.observed, missed.threshold) == (26.2 * 3600, 25 * 3600)


@pytest.mark.parametrize(
    ("now", "status"),
    [
        pytest.param("2025-10-26T02:00:00+00:00", Health.OK, id="25 h after the last start: 02:00 CET, just expected"),
        pytest.param("2025-10-26T03:00:00+00:00", Health.WARNING, id="26 h: exactly at due"),
        pytest.param("2025-10-26T03:00:01+00:00", Health.CRITICAL, id="past it"),
    ],
)
def test_the_night_the_clocks_go_back_is_an_hour_longer(now, status):
    job = MonitoredJob(name="load", schedule="0 3 * * *", timezone="Europe/Berlin")
    at_three_in_summer_time = run(datetime(2025, 10, 25, 1, 0, tzinfo=UTC))
    assert assess(facts(at_three_in_summer_time), job, now=datetime.fromisoformat(now)).status is status


def test_a_job_registered_and_never_run_is_unknown_until_its_first_deadline():
    registered = NOW - timedelta(hours=25)
    assert assess(facts(None, registered_at=registered), ROLLING, now=NOW).status is Health.UNKNOWN
    late = assess(facts(None, registered_at=registered - TICK), ROLLING, now=NOW)
    assert [found.kind for found in late.findings] == [Kind.MISSED]
    assert "never run" in late.findings[0].message


def test_a_start_in_the_future_does_not_postpone_the_next_deadline():
    health = assess(facts(run(NOW + timedelta(days=300))), ROLLING, now=NOW)
    assert health.next_due_at == NOW + timedelta(hours=25)


@pytest.mark.parametrize(
    ("running_for", "status"),
    [
        pytest.param(timedelta(hours=1), Health.OK, id="exactly at its timeout"),
        pytest.param(timedelta(hours=1) + TICK, Health.CRITICAL, id="just past it"),
    ],
)
def test_a_run_is_stuck_only_past_its_timeout(running_for, status):
    before = run(NOW - timedelta(days=1))
    given_facts = facts(run(NOW - running_for, took=None, status="running"), last_finished=before, last_success=before)
    assert assess(given_facts, ROLLING, now=NOW).status is status


def test_a_run_in_progress_leaves_health_as_the_last_finished_run_left_it():
    failed = run(NOW - timedelta(hours=2), status="failed")
    running = run(NOW - timedelta(minutes=1), took=None, status="running")
    health = assess(facts(running, last_finished=failed, failed_in_a_row=1), ROLLING, now=NOW)
    assert health.status is Health.CRITICAL
    assert assess(facts(running), ROLLING, now=NOW).status is Health.UNKNOWN


def test_an_unregistered_job_is_stuck_only_past_three_times_its_longest_success():
    running = run(NOW - timedelta(hours=5), took=None, status="running")
    slow = facts(running, longest_success=timedelta(hours=2))
    assert assess(slow, ROLLING, now=NOW, registered=False).finding(Kind.STUCK) is None
    assert assess(slow, ROLLING, now=NOW + timedelta(hours=1, seconds=1), registered=False).finding(Kind.STUCK)


@pytest.mark.parametrize(
    ("in_a_row", "wanted", "severity", "alerts"),
    [
        pytest.param(1, 1, Health.CRITICAL, True, id="the first, by default"),
        pytest.param(1, 2, Health.WARNING, False, id="one too few"),
        pytest.param(2, 2, Health.CRITICAL, True, id="as many as asked for"),
    ],
)
def test_failed_is_critical_from_failures_to_alert_in_a_row(in_a_row, wanted, severity, alerts):
    job = ROLLING.model_copy(update={"failures_to_alert": wanted})
    failed = assess(facts(run(NOW, status="failed"), failed_in_a_row=in_a_row), job, now=NOW).finding(Kind.FAILED)
    assert (failed.severity, failed.alerts, failed.observed) == (severity, alerts, in_a_row)


@pytest.mark.parametrize(
    ("took", "slow"),
    [
        pytest.param(timedelta(seconds=60), False, id="exactly its limit"),
        pytest.param(timedelta(seconds=60) + TICK, True, id="just over it"),
    ],
)
def test_a_success_is_slow_only_over_max_duration(took, slow):
    health = assess(facts(run(NOW - timedelta(hours=1), took=took)), ROLLING, now=NOW)
    assert (health.finding(Kind.SLOW) is not None) == slow


@pytest.mark.parametrize(
    ("succeeded", "finished", "low"),
    [
        pytest.param(0, 4, False, id="too few runs to say"),
        pytest.param(4, 5, True, id="five are enough"),
        pytest.param(95, 100, False, id="exactly the minimum"),
        pytest.param(949, 1000, True, id="just below"),
    ],
)
def test_a_success_rate_is_low_below_the_minimum_from_five_runs_on(succeeded, finished, low):
    health = assess(facts(run(NOW), window=Window(30, finished, succeeded)), ROLLING, now=NOW)
    assert (health.finding(Kind.LOW_SUCCESS_RATE) is not None) == low


def test_an_unmapped_status_makes_health_unknown_and_does_not_alert():
    health = assess(facts(run(NOW, status="Abgebrochen")), ROLLING, now=NOW)
    assert health.status is Health.UNKNOWN
    assert [(found.kind, found.alerts) for found in health.findings] == [(Kind.UNKNOWN_STATUS, False)]


def test_an_unregistered_job_silent_for_a_week_does_not_alert():
    old = facts(run(NOW - DORMANT_AFTER - TICK, status="failed"))
    assert not assess(old, ROLLING, now=NOW, registered=False).finding(Kind.FAILED).alerts
    assert assess(old, ROLLING, now=NOW, registered=True).finding(Kind.FAILED).alerts


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)), st.booleans())
def test_nothing_changes_before_the_next_evaluation(later, running):
    started = (
        run(NOW - timedelta(minutes=30), took=None, status="running") if running else run(NOW - timedelta(hours=2))
    )
    shown = facts(started)
    health = assess(shown, DAILY, now=NOW)
    assert health.next_evaluation_at is not None
    then = min(NOW + later, health.next_evaluation_at)
    assert [found.kind for found in assess(shown, DAILY, now=then).findings] == [
        found.kind for found in health.findings
    ]


def test_a_gap_of_minutes_is_given_in_minutes_too():
    job = MonitoredJob(name="load", every="10m", grace="5m")
    missed = assess(facts(run(NOW - timedelta(minutes=24))), job, now=NOW).finding(Kind.MISSED)
    assert missed.message.startswith("no run for 24 minutes (0.4 hours); ")


def learned(wait: timedelta, margin: timedelta = timedelta(hours=2)) -> LearnedSchedule:
    """The schedule learned of a job that runs every `wait`."""
    return LearnedSchedule(wait.total_seconds(), Gap(wait.total_seconds(), margin.total_seconds()))


@pytest.mark.parametrize(
    ("since_last_start", "kind", "status"),
    [
        pytest.param(timedelta(hours=25), None, Health.OK, id="later than ever, half-way to due"),
        pytest.param(timedelta(hours=25) + TICK, Kind.LATE, Health.WARNING, id="past half-way"),
        pytest.param(timedelta(hours=26), Kind.LATE, Health.WARNING, id="exactly at due"),
        pytest.param(timedelta(hours=26) + TICK, Kind.MISSED, Health.CRITICAL, id="just past due"),
    ],
)
def test_an_unregistered_job_is_missed_by_its_learned_schedule(since_last_start, kind, status):
    shown = facts(run(NOW - since_last_start), learned_schedule=learned(timedelta(hours=24)))
    health = assess(shown, ROLLING, now=NOW, registered=False)
    assert [(found.kind, found.alerts) for found in health.findings] == ([(kind, kind is Kind.MISSED)] if kind else [])
    assert health.status is status
    assert health.next_due_at == NOW - since_last_start + timedelta(hours=26)


def test_an_unregistered_job_without_a_learned_schedule_is_never_missed_nor_due():
    health = assess(facts(run(NOW - timedelta(days=6))), ROLLING, now=NOW, registered=False)
    assert (health.findings, health.next_due_at, health.next_evaluation_at) == ((), None, None)


@pytest.mark.parametrize(
    ("first_seen", "due"),
    [
        pytest.param(timedelta(0), None, id="due before it was seen, to the instant"),
        pytest.param(-TICK, timedelta(hours=26), id="due just after it was seen"),
    ],
)
def test_a_run_that_was_due_before_the_job_was_first_seen_is_not_missed(first_seen, due):
    started = NOW - timedelta(days=3)
    shown = facts(
        run(started),
        learned_schedule=learned(timedelta(hours=24)),
        registered_at=started + timedelta(hours=26) + first_seen,
    )
    health = assess(shown, ROLLING, now=NOW, registered=False)
    assert health.next_due_at == (None if due is None else started + due)
    assert (health.finding(Kind.MISSED) is None) == (due is None)


def test_a_learned_schedule_says_nothing_about_a_registered_job_nor_under_defaults():
    shown = facts(run(NOW - timedelta(hours=23)), learned_schedule=learned(timedelta(hours=1)))
    assert assess(shown, ROLLING, now=NOW, registered=True).findings == ()
    assert assess(shown, ROLLING, now=NOW, registered=False, all_rules=True).findings == ()


@pytest.mark.parametrize(
    ("every", "silent_for", "alerts"),
    [
        pytest.param(timedelta(days=1), timedelta(days=7), True, id="daily, for a week"),
        pytest.param(timedelta(days=1), timedelta(days=7) + TICK, False, id="daily, for more"),
        pytest.param(timedelta(days=7), timedelta(days=14, hours=4), True, id="weekly, for twice what it may"),
        pytest.param(timedelta(days=7), timedelta(days=14, hours=4) + TICK, False, id="weekly, for more"),
    ],
)
def test_a_missed_job_is_dormant_after_a_week_and_twice_its_learned_schedule_and_stays_missed(
    every, silent_for, alerts
):
    shown = facts(run(NOW - silent_for), learned_schedule=learned(every))
    missed = assess(shown, ROLLING, now=NOW, registered=False).finding(Kind.MISSED)
    assert missed.alerts == alerts


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)))
def test_nothing_changes_before_the_next_evaluation_of_a_learned_schedule(later):
    shown = facts(run(NOW - timedelta(hours=2)), learned_schedule=learned(timedelta(hours=24)))
    health = assess(shown, ROLLING, now=NOW, registered=False)
    then = assess(shown, ROLLING, now=min(NOW + later, health.next_evaluation_at), registered=False)
    assert then.findings == health.findings == ()


def test_a_late_run_is_shown_and_does_not_alert():
    late = assess(facts(run(NOW - timedelta(hours=24, minutes=30))), ROLLING, now=NOW).finding(Kind.LATE)
    assert (late.severity, late.alerts, late.since) == (Health.WARNING, False, NOW - timedelta(minutes=30))


def test_a_running_run_counts_as_the_one_that_was_expected():
    before = run(NOW - timedelta(hours=30))
    running = run(NOW - timedelta(minutes=1), took=None, status="running")
    health = assess(facts(running, last_finished=before, last_success=before), ROLLING, now=NOW)
    assert health.findings == ()
    assert health.next_due_at == running.started_at + timedelta(hours=25)


def test_a_failed_run_counts_as_the_one_that_was_expected():
    health = assess(facts(run(NOW - timedelta(hours=1), status="failed")), ROLLING, now=NOW)
    assert [found.kind for found in health.findings] == [Kind.FAILED]


def test_only_the_newest_started_run_can_be_stuck():
    newest = run(NOW - timedelta(minutes=5))
    assert assess(facts(newest), ROLLING, now=NOW).finding(Kind.STUCK) is None


@pytest.mark.parametrize(
    ("longest", "stuck"),
    [
        pytest.param(None, True, id="no success to compare with"),
        pytest.param(timedelta(minutes=10), True, id="three times its longest is under the timeout"),
        pytest.param(timedelta(minutes=30), False, id="three times its longest is more"),
    ],
)
def test_an_unregistered_run_is_stuck_over_both_its_timeout_and_three_times_its_longest_success(longest, stuck):
    running = run(NOW - timedelta(minutes=61), took=None, status="running")
    health = assess(facts(running, longest_success=longest), ROLLING, now=NOW, registered=False)
    assert (health.finding(Kind.STUCK) is not None) == stuck
    assert assess(facts(running, longest_success=longest), ROLLING, now=NOW).finding(Kind.STUCK) is not None


@pytest.mark.parametrize(
    "took",
    [pytest.param(None, id="no end"), pytest.param(timedelta(seconds=-90), id="an end before its start")],
)
def test_a_success_whose_duration_is_unknown_or_impossible_is_not_slow(took):
    assert assess(facts(run(NOW - timedelta(hours=1), took=took)), ROLLING, now=NOW).findings == ()


def test_the_last_success_stays_slow_while_later_runs_fail_or_run():
    slow = run(NOW - timedelta(hours=3), took=timedelta(minutes=2))
    failed = run(NOW - timedelta(hours=1), status="failed")
    health = assess(facts(failed, last_success=slow, failed_in_a_row=1), ROLLING, now=NOW)
    assert [found.kind for found in health.findings] == [Kind.FAILED, Kind.SLOW]
    assert health.status is Health.CRITICAL


def test_a_low_rate_is_never_shown_as_the_rate_it_is_below():
    window = Window(30, 100_000, 94_999)
    low = assess(facts(run(NOW), window=window), ROLLING, now=NOW).finding(Kind.LOW_SUCCESS_RATE)
    assert low.observed < low.threshold
    assert low.message.startswith("94.99 %")


def test_an_unregistered_job_is_evaluated_neither_by_duration_nor_by_rate():
    slow = facts(run(NOW - timedelta(hours=1), took=timedelta(minutes=5)), window=Window(30, 100, 1))
    assert assess(slow, ROLLING, now=NOW, registered=False).findings == ()
    assert [found.kind for found in assess(slow, ROLLING, now=NOW, registered=False, all_rules=True).findings] == [
        Kind.SLOW,
        Kind.LOW_SUCCESS_RATE,
    ]


def test_an_unregistered_run_that_has_been_running_since_last_year_does_not_alert():
    running = facts(run(NOW - timedelta(days=300), took=None, status="running"))
    assert [found.alerts for found in assess(running, ROLLING, now=NOW, registered=False).findings] == [False]
    assert [found.alerts for found in assess(running, ROLLING, now=NOW).findings] == [True, True]


def test_a_start_in_the_future_does_not_postpone_a_learned_deadline():
    shown = facts(run(NOW + timedelta(days=300)), learned_schedule=learned(timedelta(hours=24)))
    assert assess(shown, ROLLING, now=NOW, registered=False).next_due_at == NOW + timedelta(hours=26)


@pytest.mark.parametrize("status", ["failed", "success"])
def test_a_run_dated_in_the_future_is_wrong_since_now_and_not_since_then(status):
    job = MonitoredJob(name="load", max_duration="5s")
    ahead = run(NOW + timedelta(days=2), status=status)
    (found,) = assess(facts(ahead, failing_since=ahead.completed_at), job, now=NOW).findings
    assert found.since == NOW
