"""What a verdict changes about an incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.alerts import AlertEvent
from airflow_jobmon.core.health import Finding, Health, Kind
from airflow_jobmon.core.incidents import Change, OpenIncident, Step, fingerprint, next_step

NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED = Finding(Kind.FAILED, Health.CRITICAL, "failed", 1, 1, since=NOW, evidence_at=NOW)
SLOW = Finding(Kind.SLOW, Health.WARNING, "slow", 75, 60, since=NOW, evidence_at=NOW)
TOLD = OpenIncident(1, "failed", Health.CRITICAL, NOW, NOW, NOW, 1, frozenset({fingerprint("time out after # s")}))


def step(incident, finding, **given):
    defaults = {"now": NOW, "quiet": False, "happened_again": False, "realert_interval": DAY}
    return next_step(incident, finding, **(defaults | given))


def test_nothing_wrong_and_nothing_open_changes_nothing():
    assert step(None, None) == Step(Change.NONE)


def test_a_new_problem_is_told_at_once():
    assert step(None, FAILED) == Step(Change.OPEN, AlertEvent.OPENED)


def test_a_quiet_one_is_recorded_and_told_as_opened_only_when_it_happens_again():
    assert step(None, FAILED, quiet=True) == Step(Change.OPEN)
    silent = replace(TOLD, told_at=None)
    assert step(silent, FAILED, now=NOW + 100 * DAY) == Step(Change.UPDATE)
    assert step(silent, FAILED, happened_again=True) == Step(Change.UPDATE, AlertEvent.OPENED)
    assert step(replace(silent, kind="slow"), SLOW, happened_again=True) == Step(Change.UPDATE, AlertEvent.OPENED)


def test_what_only_shows_opens_nothing_and_closes_nothing():
    shown = replace(FAILED, alerts=False, severity=Health.WARNING)
    assert step(None, shown) == Step(Change.NONE)
    assert step(TOLD, shown, now=NOW + 3 * DAY) == Step(Change.UPDATE)


@pytest.mark.parametrize(
    ("passed", "alert"),
    [
        pytest.param(DAY - timedelta(microseconds=1), None, id="not yet"),
        pytest.param(DAY, AlertEvent.REPEATED, id="when the interval has passed"),
    ],
)
def test_a_critical_incident_is_told_again_by_the_clock(passed, alert):
    assert step(TOLD, FAILED, now=NOW + passed) == Step(Change.UPDATE, alert)


def test_a_warning_is_never_told_again():
    slow = replace(TOLD, kind="slow", severity=Health.WARNING)
    assert step(slow, SLOW, now=NOW + 100 * DAY) == Step(Change.UPDATE)


@pytest.mark.parametrize(
    ("error", "alert"),
    [
        pytest.param("Time out after 7 s", None, id="the same but for a number"),
        pytest.param("disk full", AlertEvent.REPEATED, id="new"),
    ],
)
def test_another_failure_is_told_at_once_only_where_its_error_is_new(error, alert):
    assert step(TOLD, FAILED, errors=["time out after 9 s", error]) == Step(Change.UPDATE, alert)
    assert step(TOLD, FAILED, errors=[]) == Step(Change.UPDATE)


def test_resolved_is_told_only_where_the_problem_was():
    assert step(TOLD, None) == Step(Change.RESOLVE, AlertEvent.RESOLVED)
    assert step(replace(TOLD, told_at=None), None) == Step(Change.RESOLVE)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("row 17 locked", "row 9000 locked", True, id="numbers"),
        pytest.param(
            "run 0b8e2c1a-77aa-4b0e-9c3e-1f2a3b4c5d6e gone",
            "run 7f2e2c1a-00aa-4b0e-9c3e-1f2a3b4c5d99 gone",
            True,
            id="uuids",
        ),
        pytest.param("Time  out\n", "time out", True, id="case and white space"),
        pytest.param("time out", "disk full", False, id="words"),
        pytest.param(None, "", True, id="no text at all"),
    ],
)
def test_numbers_and_ids_do_not_make_an_error_new(one, other, same):
    assert (fingerprint(one) == fingerprint(other)) == same


@given(st.text())
def test_a_fingerprint_is_bounded_and_stable(text):
    assert len(fingerprint(text)) <= 300
    assert fingerprint(text) == fingerprint(text.upper().lower()) or text.upper().lower() != text.lower()
