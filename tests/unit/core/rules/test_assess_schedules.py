"""What counts as missed, where runs do not keep to their slots and clocks do not keep still."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health, JobFacts, JobHealth, Kind
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.rules.assess import assess
from airflow_jobmon.core.schedule.cron_slots import first_slot_after
from tests.support import cron_oracle

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOURLY = MonitoredJob(name="load", schedule="0 * * * *", grace="20m")
NIGHTLY = MonitoredJob(name="load", schedule="0 2 * * *", timezone="Europe/Berlin", grace="1h")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def evaluate(job: MonitoredJob, starts: Iterable[str | datetime], now: datetime, **given) -> JobHealth:
    """The health at `now` on runs that started then and took ten seconds, as far as they had begun and ended."""
    begun = sorted(at(start) if isinstance(start, str) else start for start in starts)
    runs = [
        Run(str(n), "load", start, start + timedelta(seconds=10), "success")
        if start + timedelta(seconds=10) <= now
        else Run(str(n), "load", start, None, "running")
        for n, start in enumerate(begun)
        if start <= now
    ]
    finished = [run for run in runs if run.status == "success"]
    facts = JobFacts(
        job_name="load",
        registered_at=at("2025-01-01T00:00Z"),
        newest=runs[-1] if runs else None,
        last_finished=finished[-1] if finished else None,
        last_success=finished[-1] if finished else None,
        **given,
    )
    return assess(facts, job, now=now)


def lateness(health: JobHealth) -> list[Kind]:
    return [found.kind for found in health.findings if found.kind in {Kind.LATE, Kind.MISSED}]


@pytest.mark.parametrize(
    ("starts", "fine_until"),
    [
        pytest.param(["10:00"], "11:20", id="on time"),
        pytest.param(["09:55"], "11:20", id="as early as may be"),
        pytest.param(["09:54:59"], "10:20", id="earlier, and so not this slot's"),
        pytest.param(["10:00", "10:17", "10:40"], "11:20", id="manual reruns in between"),
        pytest.param(["10:00", "10:00:01"], "11:20", id="two runs in one slot"),
        pytest.param(["09:56", "10:00"], "11:20", id="early by hand, and then on time"),
        pytest.param(["09:56", "10:03"], "11:20", id="before and after the slot"),
        pytest.param(["10:54"], "11:20", id="a rerun shortly before the next slot, which is still to come"),
        pytest.param(["10:55"], "12:20", id="a rerun so near the next slot that it is taken for it"),
        pytest.param(["10:19:59"], "11:20", id="late, within grace"),
    ],
)
def test_the_next_deadline_follows_from_the_slot_that_the_last_run_counts_for(starts, fine_until):
    starts = [f"2025-11-13T{start}Z" for start in starts]
    due = at(f"2025-11-13T{fine_until}Z")
    assert evaluate(HOURLY, starts, due).next_due_at == due
    assert lateness(evaluate(HOURLY, starts, due)) == [Kind.LATE]
    assert lateness(evaluate(HOURLY, starts, due - HOURLY.grace)) == []
    missed = evaluate(HOURLY, starts, due + TICK).finding(Kind.MISSED)
    assert (missed.severity, missed.since) == (Health.CRITICAL, due)


def test_a_run_that_starts_before_its_slot_and_ends_after_it_is_that_slots_run():
    start, end = at("2025-11-13T09:58Z"), at("2025-11-13T10:12Z")
    for now in (at("2025-11-13T10:05Z"), at("2025-11-13T10:30Z"), at("2025-11-13T11:20Z") - HOURLY.grace):
        ended = now >= end
        run = Run("1", "load", start, end if ended else None, "success" if ended else "running")
        facts = JobFacts("load", at("2025-01-01T00:00Z"), run, run if ended else None, run if ended else None)
        health = assess(facts, HOURLY, now=now)
        assert lateness(health) == []
        assert health.next_due_at == at("2025-11-13T11:20Z")


@pytest.mark.parametrize(
    ("last", "slot"),
    [
        pytest.param("2026-03-28T01:00Z", "2026-03-29T01:00Z", id="forward: 02:00 is 03:00, a day later all the same"),
        pytest.param("2026-03-29T01:00Z", "2026-03-30T00:00Z", id="the day after, an hour sooner"),
        pytest.param("2026-10-24T00:00Z", "2026-10-25T00:00Z", id="back: the first of the two 02:00"),
        pytest.param("2026-10-25T00:00Z", "2026-10-26T01:00Z", id="the day after, 25 hours later"),
    ],
)
def test_a_nightly_run_is_expected_when_its_clock_says_so_and_grace_is_an_hour_of_real_time(last, slot):
    due = at(slot) + timedelta(hours=1)
    assert evaluate(NIGHTLY, [last], due).next_due_at == due
    assert lateness(evaluate(NIGHTLY, [last], at(slot))) == []
    assert lateness(evaluate(NIGHTLY, [last], due)) == [Kind.LATE]
    assert lateness(evaluate(NIGHTLY, [last], due + TICK)) == [Kind.MISSED]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"])
@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "30 0 * * *", "45 1 * * *", "*/15 * * * *", "0 * * * *"])
def test_a_punctual_job_is_never_late_by_more_than_its_delay_when_clocks_change(cron, zone):
    job = MonitoredJob(name="load", schedule=cron, timezone=zone, grace="5m")
    delay = timedelta(minutes=2)
    for change in cron_oracle.minutes_of_changes(zone, 2026, 2026):
        begin, end = change - timedelta(hours=30), change + timedelta(hours=30)
        starts = [slot + delay for slot in cron_oracle.slots(cron, zone, begin, end)]
        for start, following in pairwise(starts):
            assert lateness(evaluate(job, [start], following)) == [Kind.LATE]
            assert lateness(evaluate(job, [start], following - delay)) == []


def test_a_rolling_day_and_an_hour_calls_a_run_missed_in_the_night_the_clocks_go_back():
    """Why a cron with its zone is better than 25 hours."""
    flat = MonitoredJob(name="load")
    before, after = (datetime(2026, 10, day, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")) for day in (24, 25))
    after = after.replace(fold=1)
    assert after.astimezone(UTC) - before.astimezone(UTC) == timedelta(hours=25)
    assert lateness(evaluate(flat, [before], after.astimezone(UTC) + MINUTE)) == [Kind.MISSED]


@pytest.mark.parametrize(
    ("was", "now_is", "changed", "last", "due"),
    [
        pytest.param(
            "0 5 * * *", "0 2 * * *", "03:30", "2025-11-12T05:00Z", "2025-11-14T03:00Z", id="to a time that is over"
        ),
        pytest.param(
            "0 2 * * *", "0 5 * * *", "03:30", "2025-11-13T02:00Z", "2025-11-13T06:00Z", id="to a later one: today too"
        ),
        pytest.param(
            "0 5 * * *", "0 2 * * *", "01:00", "2025-11-12T05:00Z", "2025-11-13T03:00Z", id="before the new time comes"
        ),
        pytest.param(
            "0 2 * * MON", "0 2 * * *", "12:00", "2025-11-10T02:00Z", "2025-11-14T03:00Z", id="weekly to daily"
        ),
    ],
)
def test_a_changed_schedule_holds_from_when_it_was_changed(was, now_is, changed, last, due):
    since = at(f"2025-11-13T{changed}Z")
    before = evaluate(MonitoredJob(name="load", schedule=was), [last], since)
    assert lateness(before) == []
    job = MonitoredJob(name="load", schedule=now_is)
    after = evaluate(job, [last], since + TICK, scheduled_since=since)
    assert (lateness(after), after.next_due_at) == ([], at(due))
    assert lateness(evaluate(job, [last], at(due) + TICK, scheduled_since=since)) == [Kind.MISSED]


def test_every_counts_from_its_change_too_and_from_the_next_run_on_from_that():
    job, since = MonitoredJob(name="load", every="6h"), at("2025-11-13T12:00Z")
    last = "2025-11-13T00:00Z"
    assert evaluate(job, [last], since, scheduled_since=since).next_due_at == at("2025-11-13T19:00Z")
    ran = evaluate(job, [last, "2025-11-13T13:00Z"], at("2025-11-13T14:00Z"), scheduled_since=since)
    assert ran.next_due_at == at("2025-11-13T20:00Z")


def test_at_a_past_time_a_later_change_excuses_nothing():
    since = at("2025-11-13T12:00Z")
    job = MonitoredJob(name="load", schedule="0 2 * * *")
    earlier = evaluate(job, ["2025-11-12T02:00Z"], at("2025-11-13T04:00Z"), scheduled_since=since)
    assert lateness(earlier) == [Kind.MISSED]


crons = st.sampled_from(
    ["0 2 * * *", "30 2 * * *", "*/20 * * * *", "5 * * * *", "0 9,17 * * MON-FRI", "0 0 1 * *", "15 1-3 * * *"]
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
moments = st.datetimes(datetime(2011, 12, 1), datetime(2031, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
allowances = st.timedeltas(timedelta(0), timedelta(hours=3))


@given(crons, zones, moments, st.lists(st.timedeltas(timedelta(0), timedelta(days=2)), max_size=4), allowances)
@settings(deadline=None)
def test_one_run_for_a_slot_is_enough_whatever_else_runs_around_it(cron, zone, moment, others, early):
    job = MonitoredJob(name="load", schedule=cron, timezone=zone, early=early, grace="0s")
    slot = first_slot_after(cron, zone, moment)
    following = first_slot_after(cron, zone, slot)
    start = slot - job.earliness
    for now in (slot, following):
        around = [start + other for other in others if start + other <= now]
        assert lateness(evaluate(job, [start, *around], now)) == []


@given(crons, zones, moments, allowances, allowances)
@settings(deadline=None)
def test_with_no_run_for_it_a_slot_is_missed_once_its_grace_is_over_and_not_before(cron, zone, moment, early, grace):
    job = MonitoredJob(name="load", schedule=cron, timezone=zone, early=early, grace=grace)
    slot = first_slot_after(cron, zone, moment)
    expected = slot if slot > moment + job.earliness else first_slot_after(cron, zone, slot)
    due = expected + grace
    assert job.due_after(moment) == due
    assert Kind.MISSED not in lateness(evaluate(job, [moment], due))
    assert lateness(evaluate(job, [moment], due + TICK)) == [Kind.MISSED]
