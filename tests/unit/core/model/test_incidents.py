"""What a verdict changes about an incident."""

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
    Change,
    OpenIncident,
    Rule,
    Sight,
    State,
    Tell,
    fingerprint,
    next_step,
)

ROOT = Path(__file__).parents[4]
NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED = Finding(Kind.FAILED, Health.CRITICAL, "failed", 1, 1, since=NOW, evidence_at=NOW)
SLOW = Finding(Kind.SLOW, Health.WARNING, "slow", 75, 60, since=NOW, evidence_at=NOW)
SHOWN = replace(FAILED, alerts=False, severity=Health.WARNING)
TOLD = OpenIncident(1, "failed", Health.CRITICAL, NOW, NOW, NOW, 1, frozenset({fingerprint("time out after # s")}))
RECORDED = replace(TOLD, told_at=None)
ACKNOWLEDGED = replace(TOLD, acknowledged_at=NOW)
SILENCED = replace(TOLD, silenced_at=NOW)
HELD_BACK = replace(TOLD, told_at=None, silenced_at=NOW, error_texts=frozenset())

OPENED, REPEATED, RESOLVED = AlertEvent.OPENED, AlertEvent.REPEATED, AlertEvent.RESOLVED


def step(incident, finding, **given):
    defaults = {"now": NOW, "quiet": False, "happened_again": False, "realert_interval": DAY}
    taken = next_step(incident, finding, **(defaults | given))
    return taken.alert, taken.becomes


def test_nothing_wrong_and_nothing_open_changes_nothing():
    assert step(None, None) == (None, State.NONE)


def test_a_new_problem_is_told_at_once():
    assert step(None, FAILED) == (OPENED, State.TOLD)


def test_a_quiet_one_is_recorded_and_told_as_opened_only_when_it_happens_again():
    assert step(None, FAILED, quiet=True) == (None, State.RECORDED)
    assert step(RECORDED, FAILED, now=NOW + 100 * DAY) == (None, State.RECORDED)
    assert step(RECORDED, FAILED, happened_again=True) == (OPENED, State.TOLD)
    assert step(replace(RECORDED, kind="slow"), SLOW, happened_again=True) == (OPENED, State.TOLD)


def test_what_only_shows_opens_nothing_and_closes_nothing():
    assert step(None, SHOWN) == (None, State.NONE)
    assert step(TOLD, SHOWN, now=NOW + 3 * DAY) == (None, State.TOLD)


@pytest.mark.parametrize(
    ("passed", "alert"),
    [
        pytest.param(DAY - timedelta(microseconds=1), None, id="not yet"),
        pytest.param(DAY, REPEATED, id="when the interval has passed"),
        pytest.param(-DAY, None, id="when a clock was set back"),
    ],
)
def test_a_critical_incident_is_told_again_by_the_clock(passed, alert):
    assert step(TOLD, FAILED, now=NOW + passed) == (alert, State.TOLD)


def test_a_warning_is_never_told_again():
    slow = replace(TOLD, kind="slow", severity=Health.WARNING)
    assert step(slow, SLOW, now=NOW + 100 * DAY) == (None, State.TOLD)
    assert step(slow, SLOW, now=NOW + 100 * DAY, silenced=True) == (None, State.TOLD)


@pytest.mark.parametrize(
    ("error", "alert"),
    [
        pytest.param("Time out after 7 s", None, id="the same but for a number"),
        pytest.param("disk full", REPEATED, id="new"),
    ],
)
@pytest.mark.parametrize("incident", [TOLD, ACKNOWLEDGED], ids=["told", "acknowledged"])
def test_another_failure_is_told_at_once_only_where_its_error_is_new(incident, error, alert):
    assert step(incident, FAILED, errors=["time out after 9 s", error]) == (alert, incident.state)
    assert step(incident, FAILED, errors=[]) == (None, incident.state)


@pytest.mark.parametrize("silenced", [False, True])
def test_resolved_is_told_only_where_the_problem_was(silenced):
    for told in (TOLD, ACKNOWLEDGED, SILENCED):
        assert step(told, None, silenced=silenced) == (RESOLVED, State.NONE)
    for untold in (RECORDED, HELD_BACK, replace(RECORDED, acknowledged_at=NOW)):
        assert step(untold, None, silenced=silenced) == (None, State.NONE)


def test_what_is_acknowledged_is_not_told_again_by_the_clock_nor_after_a_silence():
    assert step(ACKNOWLEDGED, FAILED, now=NOW + 100 * DAY) == (None, State.ACKNOWLEDGED)
    assert step(ACKNOWLEDGED, FAILED, now=NOW + 100 * DAY, silenced=True) == (None, State.ACKNOWLEDGED)


def test_what_opens_in_a_silence_is_recorded_as_opened_once_and_told_as_opened_at_its_end():
    assert step(None, FAILED, silenced=True) == (OPENED, State.SILENCED)
    assert step(HELD_BACK, FAILED, silenced=True, errors=["disk full"], now=NOW + 9 * DAY) == (None, State.SILENCED)
    assert step(HELD_BACK, FAILED) == (OPENED, State.TOLD)


def test_what_was_told_before_a_silence_is_told_again_at_its_end():
    assert step(TOLD, FAILED, silenced=True) == (None, State.SILENCED)
    assert step(TOLD, FAILED, silenced=True, errors=["disk full"]) == (REPEATED, State.SILENCED)
    assert step(SILENCED, FAILED) == (REPEATED, State.TOLD)


def test_news_that_a_silence_held_back_from_an_acknowledged_incident_leaves_it_acknowledged():
    assert step(ACKNOWLEDGED, FAILED, silenced=True, errors=["disk full"]) == (REPEATED, State.SILENCED)
    assert step(replace(ACKNOWLEDGED, silenced_at=NOW + DAY), FAILED) == (REPEATED, State.ACKNOWLEDGED)


def test_whoever_acknowledges_knows_what_was_held_back_until_then():
    known = replace(HELD_BACK, acknowledged_at=NOW + DAY)
    assert step(known, FAILED) == (None, State.ACKNOWLEDGED)
    assert step(replace(known, acknowledged_at=None), FAILED) == (OPENED, State.TOLD)


def test_every_state_has_a_step_for_everything_that_can_be_seen_in_it():
    incidents = [None, TOLD, RECORDED, ACKNOWLEDGED, SILENCED, HELD_BACK, replace(HELD_BACK, acknowledged_at=NOW)]
    for incident, finding, quiet, again, silenced, days in product(
        incidents, (None, FAILED, SLOW, SHOWN), (False, True), (False, True), (False, True), (-2, 0, 2)
    ):
        taken = next_step(
            incident,
            finding,
            now=NOW + days * DAY,
            quiet=quiet,
            happened_again=again,
            realert_interval=DAY,
            errors=["disk full"] if again else [],
            silenced=silenced,
        )
        assert (taken.becomes is State.NONE) == (taken.change in {Change.NONE, Change.RESOLVE})


def test_no_state_is_seen_in_two_ways():
    seen = [(rule.state, sight) for rule in TABLE for sight in rule.sights]
    assert len(seen) == len(set(seen))


def row(rule: Rule) -> str:
    in_silence = "the same"
    if rule.in_silence != rule.then or rule.then.tell is not Tell.NOTHING:
        held = "recorded, not sent; " if rule.in_silence.tell is not Tell.NOTHING else ""
        nothing = "nothing; " if rule.then.tell is not Tell.NOTHING and not held else ""
        in_silence = f"{held or nothing}{rule.in_silence.becomes}"
    sights = ", or ".join(rule.sights)
    return f"| {rule.state} | {sights} | {rule.then.tell} | {rule.then.becomes} | {in_silence} |"


HEAD = "| it is | a judge sees | told | it becomes | in a silence |"


@pytest.mark.parametrize(
    "page", [page for page in (ROOT / "docs/incidents.md", ROOT / "README.md") if HEAD in page.read_text()]
)
def test_the_table_that_people_read_is_the_one_that_is_followed(page):
    table = page.read_text().partition(HEAD)[2].partition("\n\n")[0].splitlines()[2:]
    assert table == [row(rule) for rule in TABLE]


def test_the_table_is_there_to_be_read():
    assert HEAD in (ROOT / "docs/incidents.md").read_text()


@pytest.mark.parametrize("word", [*State, *Sight, *Tell])
def test_every_word_of_the_table_is_used_in_it(word):
    assert any(
        word in {rule.state, *rule.sights, rule.then.tell, rule.then.becomes, rule.in_silence.becomes} for rule in TABLE
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
