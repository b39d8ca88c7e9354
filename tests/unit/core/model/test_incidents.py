"""The transitions of an incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.health import Finding, Health, Kind
from airflow_jobmon.core.model.incidents import (
    TABLE,
    Action,
    Effect,
    Evidence,
    IncidentState,
    Notification,
    Observation,
    OpenIncident,
    TransitionRule,
    fingerprint,
    next_transition,
    observe,
)

ROOT = Path(__file__).parents[4]
NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED = Finding(Kind.FAILED, Health.CRITICAL, "failed", 1, 1, since=NOW, evidence_at=NOW)
SLOW = Finding(Kind.SLOW, Health.WARNING, "slow", 75, 60, since=NOW, evidence_at=NOW)
NOT_ALERTING = replace(FAILED, alerts=False, severity=Health.WARNING)
NOTIFIED = OpenIncident(1, "failed", Health.CRITICAL, NOW, NOW, NOW, 1, frozenset({fingerprint("time out after # s")}))
RECORDED = replace(NOTIFIED, notified_at=None)
ACKNOWLEDGED = replace(NOTIFIED, acknowledged_at=NOW)
SILENCED = replace(NOTIFIED, silenced_at=NOW)
HELD_BACK = replace(NOTIFIED, notified_at=None, silenced_at=NOW, error_texts=frozenset())

OPENED, REPEATED, RESOLVED = AlertEvent.OPENED, AlertEvent.REPEATED, AlertEvent.RESOLVED


def step(incident, finding, *, now=NOW, silenced=False, **evidence):
    observation = observe(incident, Evidence(finding, **evidence), now=now, realert_interval=DAY)
    taken = next_transition(incident, observation, silenced=silenced)
    return taken.alert, taken.next_state


def test_nothing_wrong_and_nothing_open_changes_nothing():
    assert step(None, None) == (None, IncidentState.NONE)


def test_a_new_problem_alerts_at_once():
    assert step(None, FAILED) == (OPENED, IncidentState.NOTIFIED)


def test_a_preexisting_finding_is_recorded_and_alerts_as_opened_when_it_happens_again():
    assert step(None, FAILED, preexisting=True) == (None, IncidentState.RECORDED)
    assert step(RECORDED, FAILED, now=NOW + 100 * DAY) == (None, IncidentState.RECORDED)
    assert step(RECORDED, FAILED, happened_again=True) == (OPENED, IncidentState.NOTIFIED)
    assert step(replace(RECORDED, kind="slow"), SLOW, happened_again=True) == (OPENED, IncidentState.NOTIFIED)


def test_a_non_alerting_finding_neither_opens_nor_resolves():
    assert step(None, NOT_ALERTING) == (None, IncidentState.NONE)
    assert step(NOTIFIED, NOT_ALERTING, now=NOW + 3 * DAY) == (None, IncidentState.NOTIFIED)


@pytest.mark.parametrize(
    ("passed", "alert"),
    [
        pytest.param(DAY - timedelta(microseconds=1), None, id="not yet"),
        pytest.param(DAY, REPEATED, id="when the interval has passed"),
        pytest.param(-DAY, None, id="when a clock was set back"),
    ],
)
def test_a_critical_incident_repeats_at_its_interval(passed, alert):
    assert step(NOTIFIED, FAILED, now=NOW + passed) == (alert, IncidentState.NOTIFIED)


def test_a_warning_never_repeats():
    slow = replace(NOTIFIED, kind="slow", severity=Health.WARNING)
    assert step(slow, SLOW, now=NOW + 100 * DAY) == (None, IncidentState.NOTIFIED)
    assert step(slow, SLOW, now=NOW + 100 * DAY, silenced=True) == (None, IncidentState.NOTIFIED)


@pytest.mark.parametrize(
    ("error", "alert"),
    [
        pytest.param("Time out after 7 s", None, id="the same but for a number"),
        pytest.param("disk full", REPEATED, id="new"),
    ],
)
@pytest.mark.parametrize("incident", [NOTIFIED, ACKNOWLEDGED], ids=["notified", "acknowledged"])
def test_another_failure_repeats_at_once_only_if_its_error_is_new(incident, error, alert):
    assert step(incident, FAILED, errors=["time out after 9 s", error]) == (alert, incident.state)
    assert step(incident, FAILED, errors=[]) == (None, incident.state)


@pytest.mark.parametrize("silenced", [False, True])
def test_resolved_is_sent_only_if_the_problem_was(silenced):
    for notified in (NOTIFIED, ACKNOWLEDGED, SILENCED):
        assert step(notified, None, silenced=silenced) == (RESOLVED, IncidentState.NONE)
    for unnotified in (RECORDED, HELD_BACK, replace(RECORDED, acknowledged_at=NOW)):
        assert step(unnotified, None, silenced=silenced) == (None, IncidentState.NONE)


def test_an_acknowledged_incident_repeats_neither_at_its_interval_nor_after_a_silence():
    assert step(ACKNOWLEDGED, FAILED, now=NOW + 100 * DAY) == (None, IncidentState.ACKNOWLEDGED)
    assert step(ACKNOWLEDGED, FAILED, now=NOW + 100 * DAY, silenced=True) == (None, IncidentState.ACKNOWLEDGED)


def test_an_incident_that_opens_in_a_silence_is_recorded_once_and_sent_as_opened_at_its_end():
    assert step(None, FAILED, silenced=True) == (OPENED, IncidentState.SILENCED)
    assert step(HELD_BACK, FAILED, silenced=True, errors=["disk full"], now=NOW + 9 * DAY) == (
        None,
        IncidentState.SILENCED,
    )
    assert step(HELD_BACK, FAILED) == (OPENED, IncidentState.NOTIFIED)


def test_an_incident_notified_before_a_silence_repeats_at_its_end():
    assert step(NOTIFIED, FAILED, silenced=True) == (None, IncidentState.SILENCED)
    assert step(NOTIFIED, FAILED, silenced=True, errors=["disk full"]) == (REPEATED, IncidentState.SILENCED)
    assert step(SILENCED, FAILED) == (REPEATED, IncidentState.NOTIFIED)


def test_a_new_error_that_a_silence_held_back_leaves_the_incident_acknowledged():
    assert step(ACKNOWLEDGED, FAILED, silenced=True, errors=["disk full"]) == (REPEATED, IncidentState.SILENCED)
    assert step(replace(ACKNOWLEDGED, silenced_at=NOW + DAY), FAILED) == (REPEATED, IncidentState.ACKNOWLEDGED)


def test_an_acknowledgement_covers_what_was_held_back_until_then():
    known = replace(HELD_BACK, acknowledged_at=NOW + DAY)
    assert step(known, FAILED) == (None, IncidentState.ACKNOWLEDGED)
    assert step(replace(known, acknowledged_at=None), FAILED) == (OPENED, IncidentState.NOTIFIED)


def test_every_state_has_a_transition_for_every_observation_possible_in_it():
    incidents = [None, NOTIFIED, RECORDED, ACKNOWLEDGED, SILENCED, HELD_BACK, replace(HELD_BACK, acknowledged_at=NOW)]
    for incident, finding, preexisting, again, silenced, days in product(
        incidents, (None, FAILED, SLOW, NOT_ALERTING), (False, True), (False, True), (False, True), (-2, 0, 2)
    ):
        evidence = Evidence(finding, preexisting, again, ["disk full"] if again else [])
        observation = observe(incident, evidence, now=NOW + days * DAY, realert_interval=DAY)
        taken = next_transition(incident, observation, silenced=silenced)
        assert (taken.next_state is IncidentState.NONE) == (taken.action in {Action.NONE, Action.RESOLVE})


def test_no_two_rules_match_the_same_state_and_observation():
    seen = [(rule.state, observation) for rule in TABLE for observation in rule.observations]
    assert len(seen) == len(set(seen))


def row(rule: TransitionRule) -> str:
    during_silence = "same"
    if rule.during_silence != rule.effect or rule.effect.notification is not Notification.NONE:
        held = "recorded, not sent; " if rule.during_silence.notification is not Notification.NONE else ""
        none = "none; " if rule.effect.notification is not Notification.NONE and not held else ""
        during_silence = f"{held or none}{rule.during_silence.next_state}"
    *others, last = rule.observations
    observations = f"{', '.join(others)} or {last}" if others else last
    effect = rule.effect
    return f"| {rule.state} | {observations} | {effect.notification} | {effect.next_state} | {during_silence} |"


HEAD = "| state | on evaluation | notification | next state | during a silence |"


def test_the_documented_table_is_the_one_that_the_code_follows():
    page = (ROOT / "docs/incidents.md").read_text()
    assert HEAD in page
    table = page.partition(HEAD)[2].partition("\n\n")[0].splitlines()[2:]
    assert table == [row(rule) for rule in TABLE]


def _effect(effect: Effect) -> tuple[str, str]:
    return effect.notification, effect.next_state


@pytest.mark.parametrize("word", [*IncidentState, *Observation, *Notification])
def test_every_word_of_the_table_is_used_in_it(word):
    assert any(
        word in {rule.state, *rule.observations, *_effect(rule.effect), *_effect(rule.during_silence)} for rule in TABLE
    )


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
