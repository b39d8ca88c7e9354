"""A registry entry suggested from a history: what is found, what is not, and the evidence given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.schedule.cron_slots import first_slot_after
from airflow_jobmon.core.suggest.cron_candidates import nominal
from airflow_jobmon.core.suggest.suggest import History, Suggestion, suggest
from airflow_jobmon.core.suggest.zone_fit import USUAL_ZONES
from tests.support.hostile_alerts import texts

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday, a month after Europe's clocks went back
ZONES = ("UTC", *USUAL_ZONES)
DAY = timedelta(days=1)


def history(
    cron: str,
    zone: str = "UTC",
    *,
    days: float,
    until: datetime = NOW,
    jitter: float = 60,
    missed: float = 0,
    seed: int = 1,
) -> list[datetime]:
    """When a job started that keeps to a schedule, up to `jitter` seconds late, with a share of its slots missed."""
    random, moment, starts = Random(seed), until - timedelta(days=days), []
    while (moment := first_slot_after(cron, zone, moment)) < until - timedelta(seconds=jitter):
        if random.random() >= missed:
            starts.append(moment + timedelta(seconds=random.uniform(0, jitter)))
    return starts[-4000:]


def suggested(starts: Sequence[datetime], zones: Sequence[str] = ZONES, now: datetime = NOW, **given) -> Suggestion:
    return suggest(History("load", sorted(starts), **given), zones, now=now)


def schedule_of(suggestion: Suggestion) -> tuple[str | None, str]:
    assert suggestion.job is not None, suggestion.evidence
    return suggestion.job.schedule, suggestion.job.timezone


@pytest.mark.parametrize(
    ("cron", "zone", "days"),
    [
        pytest.param("0 2 * * *", "Europe/Berlin", 90, id="nightly, over a clock change"),
        pytest.param("0 2 * * *", "UTC", 90, id="nightly in UTC, over one"),
        pytest.param("30 1 * * *", "America/New_York", 90, id="nightly in New York"),
        pytest.param("59 23 * * *", "Europe/Berlin", 90, id="just before midnight"),
        pytest.param("0 9 * * 1-5", "Europe/Berlin", 60, id="weekdays"),
        pytest.param("15 7 * * 0,6", "Europe/Berlin", 90, id="weekends"),
        pytest.param("0 4 * * 0", "Australia/Sydney", 150, id="weekly"),
        pytest.param("0 3 1 * *", "UTC", 390, id="monthly"),
        pytest.param("0 3 1,15 * *", "UTC", 300, id="twice a month"),
        pytest.param("0 3 L * *", "UTC", 390, id="the last of the month"),
        pytest.param("0 3 * * 1#1", "UTC", 390, id="the first Monday"),
        pytest.param("0 1 */2 * *", "UTC", 200, id="every other day of the month"),
        pytest.param("0 8,20 * * *", "UTC", 60, id="twice a day"),
        pytest.param("*/20 * * * *", "UTC", 14, id="every twenty minutes"),
        pytest.param("7-59/20 * * * *", "UTC", 14, id="every twenty minutes, from seven past"),
        pytest.param("5 * * * *", "UTC", 14, id="hourly"),
        pytest.param("15 */6 * * *", "UTC", 50, id="every six hours"),
        pytest.param("*/10 8-17 * * 1-5", "Europe/Berlin", 45, id="in office hours"),
        pytest.param("0,30 8,20 * * 0,6", "UTC", 90, id="four times on weekends"),
        pytest.param("* * * * *", "UTC", 9, id="each minute"),
    ],
)
@pytest.mark.parametrize(
    ("jitter", "missed"), [pytest.param(2, 0, id="punctual"), pytest.param(170, 0.05, id="not punctual")]
)
def test_the_schedule_behind_a_history_is_found_again(cron, zone, days, jitter, missed):
    jitter = min(jitter, 15) if cron == "* * * * *" else jitter
    assert schedule_of(suggested(history(cron, zone, days=days, jitter=jitter, missed=missed))) == (cron, zone)


@given(
    st.sampled_from(
        ["{m} {h} * * *", "{m} {h} * * 1-5", "{m} {h} * * {d}", "{m} {h},{h2} * * *", "{m} * * * *", "{m} */4 * * *"]
    ),
    st.integers(0, 59),
    st.integers(0, 23),
    st.integers(0, 6),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney"]),
    st.integers(1, 600),
    st.floats(0, 0.1),
    st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=30)
def test_what_is_suggested_expects_the_runs_that_came(form, minute, hour, weekday, zone, jitter, missed, seed):
    """To the minute where runs come within the minute, else within their jitter; except where the zone is uncertain."""
    cron = form.format(m=minute, h=hour, h2=(hour + 9) % 24, d=weekday)
    days = 20 if "* * * *" in cron or "*/4" in cron else 100
    starts = history(cron, zone, days=days, jitter=jitter, missed=missed, seed=seed)
    found = suggested(starts)
    assert found.job is not None, (cron, zone, found.evidence)
    assert found.job.schedule is not None, (cron, zone, found.evidence)
    near = timedelta(seconds=0 if jitter < 60 else jitter)
    if any("the zone is uncertain" in line for line in found.evidence):
        near += timedelta(hours=1)
    moment = starts[0] - timedelta(minutes=30)
    while (moment := first_slot_after(cron, zone, moment)) < NOW:
        slot = first_slot_after(found.job.schedule, found.job.timezone, moment - near - timedelta(microseconds=1))
        assert slot - moment <= near, (cron, zone, moment, found)


def test_a_moved_job_is_suggested_as_it_runs_now():
    moved = NOW - 12 * DAY
    found = suggested([*history("0 2 * * *", days=90, until=moved), *history("0 5 * * *", days=12)])
    assert schedule_of(found) == ("0 5 * * *", "UTC")
    assert "runs before that do not fit: the job was moved, or ran irregularly" in found.evidence[1]


def test_a_job_that_was_moved_a_few_runs_ago_is_not_guessed_at():
    moved = NOW - 3 * DAY
    found = suggested([*history("0 2 * * *", days=90, until=moved), *history("0 5 * * *", days=3)])
    assert found.job is None
    assert "its newest runs no longer start at 02:00 UTC as the 90 before did" in found.evidence[0]


def test_runs_by_hand_and_missed_nights_do_not_hide_a_schedule():
    random = Random(7)
    by_hand = [NOW - timedelta(seconds=random.uniform(0, 90 * 86400)) for _ in range(25)]
    found = suggested([*history("0 2 * * *", "Europe/Berlin", days=90, missed=0.08), *by_hand])
    assert schedule_of(found) == ("0 2 * * *", "Europe/Berlin")
    assert any("slots had no run" in line for line in found.evidence)
    assert any("perhaps started by hand" in line for line in found.evidence)


def test_one_missed_night_in_a_week_makes_no_weekday_a_day_off():
    starts = history("0 2 * * *", days=8)
    del starts[3]
    assert schedule_of(suggested(starts))[0] == "0 2 * * *"
    assert schedule_of(suggested(starts[:-1]))[0] == "0 2 * * *"


def test_a_job_seen_on_no_weekend_because_there_was_none_is_not_expected_on_one():
    week = history("0 9 * * *", days=4.9, until=datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert schedule_of(suggested(week, now=datetime(2026, 11, 20, 15, tzinfo=UTC)))[0] == "0 9 * * 1-5"


def test_a_job_so_frequent_that_its_newest_runs_show_no_weekend_is_still_expected_on_one():
    starts = history("* * * * *", days=1.2, jitter=5)
    found = suggested(starts, cut=True)
    assert schedule_of(found)[0] == "* * * * *"
    assert "only the newest were examined" in " ".join(found.evidence)


@pytest.mark.parametrize(
    ("starts", "every", "grace"),
    [
        pytest.param([NOW - timedelta(minutes=20.4 * n) for n in range(500)], "20m", "5m", id="twenty minutes of rest"),
        pytest.param([NOW - timedelta(hours=26 * n) for n in range(40)], "1d2h", "5m", id="26 hours"),
        pytest.param(
            [NOW - timedelta(hours=50 * n, minutes=n % 7) for n in range(40)],
            "2d2h",
            "5m",
            id="two days and two hours",
        ),
    ],
)
def test_runs_at_even_intervals_without_a_time_of_day_are_expected_every_so_often(starts, every, grace):
    job = suggested(starts).job
    assert (job.schedule, job.model_dump(mode="json")["every"], job.model_dump(mode="json")["grace"]) == (
        None,
        every,
        grace,
    )


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        pytest.param([], "no runs in this period: retired?", id="none"),
        pytest.param(history("0 2 * * *", days=4), "only 4 runs", id="four"),
        pytest.param(history("*/20 * * * *", days=0.2), "span only 4.3 h; at least a day is needed", id="an afternoon"),
        pytest.param(
            [NOW - timedelta(seconds=s) for s in Random(3).sample(range(90 * 86400), 200)],
            "at irregular times",
            id="any time",
        ),
        pytest.param(history("0 2 * * *", days=90, until=NOW - 20 * DAY), "retired?", id="silent for weeks"),
        pytest.param(history("*/5 * * * *", days=5, until=NOW - 8 * DAY), "retired?", id="often, silent for a week"),
    ],
)
def test_where_there_is_no_schedule_it_says_why(starts, said):
    found = suggested(starts)
    assert found.job is None
    assert said in found.evidence[0]


def test_a_weekly_job_is_not_taken_for_retired_in_its_second_week():
    assert suggested(history("0 4 * * 0", days=150, until=NOW - 14 * DAY)).job is not None


@pytest.mark.parametrize(
    ("cron", "zone", "days", "zones", "said"),
    [
        pytest.param(
            "0 2 * * *",
            "Europe/Berlin",
            90,
            ZONES,
            "it moved with the clocks of Europe/Berlin on 2026-10-25 (so did those of Europe/London)",
            id="shown by a clock change",
        ),
        pytest.param(
            "0 2 * * *",
            "UTC",
            90,
            ("UTC", "Europe/Berlin"),
            "it stayed on UTC time when the clocks changed in Europe/Berlin",
            id="shown by not changing",
        ),
        pytest.param(
            "0 2 * * *",
            "Europe/Berlin",
            20,
            ZONES,
            "no clock changed in this period, so the zone is uncertain: UTC is assumed",
            id="no clock change",
        ),
        pytest.param(
            "0 2 * * *",
            "Europe/Berlin",
            20,
            ("Europe/Paris", *ZONES),
            "is uncertain: Europe/Paris is assumed",
            id="no clock change, but a preference",
        ),
        pytest.param(
            "0 2 * * *",
            "Europe/Berlin",
            90,
            ("Europe/Paris", *ZONES),
            "it moved with the clocks of Europe/Paris on 2026-10-25 (so did those of Europe/Berlin",
            id="shown, and a preference",
        ),
    ],
)
def test_the_evidence_says_how_certain_the_zone_is(cron, zone, days, zones, said):
    assert any(said in line for line in suggested(history(cron, zone, days=days), zones).evidence)


def test_two_runs_since_a_clock_change_leave_the_zone_uncertain():
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    starts = history("0 12 * * *", "Europe/Berlin", days=60, until=change + 1.6 * DAY)
    found = suggested(starts, now=change + 1.6 * DAY)
    assert any("the zone is uncertain, with so few runs around a clock change: UTC or" in e for e in found.evidence)


def test_grace_and_limits_follow_from_the_history_with_the_evidence():
    starts = history("0 2 * * *", days=60, jitter=1)
    starts[10] = starts[10].replace(minute=22, second=0, microsecond=0)
    durations = [timedelta(seconds=40)] * 58 + [timedelta(minutes=3), timedelta(minutes=10)]
    found = suggested(starts, durations=durations)
    written = found.job.model_dump(mode="json", exclude_unset=True)
    assert written == {
        "name": "load",
        "schedule": "0 2 * * *",
        "grace": "30m",
        "timeout": "30m",
        "max_duration": "15m",
    }
    assert found.evidence[0] == "60 runs since 2026-09-26, 60 within 30 min 0 s of 02:00 UTC; p99 lateness 22 min 0 s"
    assert found.evidence[-1] == "successful runs took 40 s (median; p99 10 min 0 s, longest 10 min 0 s)"


def test_a_job_that_would_be_missed_at_once_is_marked():
    starts = history("0 * * * *", days=20, until=NOW - 2 * DAY)
    assert (
        "will be missed as soon as it is applied: the newest run started 2026-11-22T11:00"
        in suggested(starts).evidence[-1]
    )


@given(texts)
@settings(deadline=None, max_examples=30)
def test_a_name_that_the_registry_would_refuse_is_reported(name):
    found = suggest(History(name, history("0 2 * * *", days=10)), ["UTC"], now=NOW)
    assert found.job is None or MonitoredJob(name=name).name == found.job.name
    assert all("\n" not in line for line in found.evidence)


@pytest.mark.parametrize(
    ("values", "minute"),
    [
        pytest.param([120.01, 120.02, 120.03], 120, id="on the minute"),
        pytest.param([121.01, 121.02, 121.05], 121, id="on an odd one"),
        pytest.param([119.995, 120.0, 120.01], 120, id="a moment early"),
        pytest.param([121.5, 121.55, 121.6, 121.62, 121.7], 120, id="after a minute and a half of starting up"),
        pytest.param([1439.999, 0.01, 0.02], 0, id="around midnight"),
        pytest.param([120.1, 125.0, 121.3, 128.0, 123.3, 126.1, 600.0], 120, id="unpunctual, and one by hand"),
    ],
)
def test_the_scheduled_minute_is_the_one_that_runs_start_at_or_just_after(values, minute):
    assert nominal(values, 1440) == minute
