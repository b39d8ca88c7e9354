"""The life of an incident: a table of states, of what a judge may see in each, and of what is told then."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.health import Finding, Health

_UUID_OR_HEX = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{4,}(?:-[0-9a-f]{4,})*\b")
_NUMBER = re.compile(r"\d+")
_FINGERPRINT_LENGTH = 300


class State(StrEnum):
    """Where one job and kind is in its life; all but `none` are open incidents."""

    NONE = "none"
    RECORDED = "recorded"
    TOLD = "told"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"


class Sight(StrEnum):
    """What a judge sees of it."""

    NOTHING = "nothing wrong"
    SHOWN = "only what is shown"
    OLD = "what was wrong before we watched"
    SAME = "nothing new"
    DUE = "the interval has passed"
    NEWS = "news"


class Tell(StrEnum):
    """What is told: the problem, as opened to begin with and as repeated from then on; its end only to the told."""

    NOTHING = "nothing"
    PROBLEM = "the problem"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Turn:
    """What is told, and what the incident is from then on."""

    tell: Tell
    becomes: State


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. What is told `in_silence` is recorded and not sent."""

    state: State
    sights: tuple[Sight, ...]
    then: Turn
    in_silence: Turn


def _rule(state: State, *sights: Sight, then: tuple[Tell, State], in_silence: tuple[Tell, State] | None = None) -> Rule:
    return Rule(state, sights, Turn(*then), Turn(*(in_silence or then)))


TABLE: tuple[Rule, ...] = (
    _rule(State.NONE, Sight.NOTHING, Sight.SHOWN, then=(Tell.NOTHING, State.NONE)),
    _rule(State.NONE, Sight.OLD, then=(Tell.NOTHING, State.RECORDED)),
    _rule(State.NONE, Sight.NEWS, then=(Tell.PROBLEM, State.TOLD), in_silence=(Tell.PROBLEM, State.SILENCED)),
    _rule(State.RECORDED, Sight.OLD, Sight.SHOWN, then=(Tell.NOTHING, State.RECORDED)),
    _rule(State.RECORDED, Sight.NEWS, then=(Tell.PROBLEM, State.TOLD), in_silence=(Tell.PROBLEM, State.SILENCED)),
    _rule(State.RECORDED, Sight.NOTHING, then=(Tell.END, State.NONE)),
    _rule(State.TOLD, Sight.SHOWN, then=(Tell.NOTHING, State.TOLD)),
    _rule(State.TOLD, Sight.SAME, then=(Tell.NOTHING, State.TOLD), in_silence=(Tell.NOTHING, State.SILENCED)),
    _rule(
        State.TOLD, Sight.DUE, Sight.NEWS, then=(Tell.PROBLEM, State.TOLD), in_silence=(Tell.PROBLEM, State.SILENCED)
    ),
    _rule(State.TOLD, Sight.NOTHING, then=(Tell.END, State.NONE)),
    _rule(State.ACKNOWLEDGED, Sight.SHOWN, Sight.SAME, Sight.DUE, then=(Tell.NOTHING, State.ACKNOWLEDGED)),
    _rule(
        State.ACKNOWLEDGED,
        Sight.NEWS,
        then=(Tell.PROBLEM, State.ACKNOWLEDGED),
        in_silence=(Tell.PROBLEM, State.SILENCED),
    ),
    _rule(State.ACKNOWLEDGED, Sight.NOTHING, then=(Tell.END, State.NONE)),
    _rule(State.SILENCED, Sight.SHOWN, then=(Tell.NOTHING, State.SILENCED)),
    _rule(
        State.SILENCED,
        Sight.SAME,
        Sight.DUE,
        Sight.NEWS,
        then=(Tell.PROBLEM, State.TOLD),
        in_silence=(Tell.NOTHING, State.SILENCED),
    ),
    _rule(State.SILENCED, Sight.NOTHING, then=(Tell.END, State.NONE)),
)
"""The whole life, for people to read in docs/incidents.md and for `next_step` to follow."""

_TURNS: Mapping[tuple[State, Sight], Rule] = MappingProxyType(
    {(rule.state, sight): rule for rule in TABLE for sight in rule.sights}
)


class Change(StrEnum):
    """What happens to the incident itself."""

    NONE = "none"
    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open problem of one job and kind.

    told_at: when it was last told; None while nobody was told. silenced_at: since when a silence has held something
    back. acknowledged_at: when somebody said that they know. error_texts: fingerprints of the errors that were told, or
    known to whoever acknowledged.
    """

    id: int
    kind: str
    severity: Health
    opened_at: datetime
    detected_at: datetime
    told_at: datetime | None
    occurrences: int
    error_texts: frozenset[str]
    silenced_at: datetime | None = None
    acknowledged_at: datetime | None = None

    @property
    def state(self) -> State:
        return state_of(self.told_at, self.silenced_at, self.acknowledged_at)


@dataclass(frozen=True, slots=True)
class Step:
    """The change to the incident, the alert it asks for, if any, and the state it is in from then on."""

    change: Change
    alert: AlertEvent | None
    becomes: State


def state_of(told_at: datetime | None, silenced_at: datetime | None, acknowledged_at: datetime | None) -> State:
    """Of an open incident. Whoever acknowledges knows what was held back until then, not what is held back later."""
    if silenced_at is not None and (acknowledged_at is None or acknowledged_at < silenced_at):
        return State.SILENCED
    if acknowledged_at is not None:
        return State.ACKNOWLEDGED
    return State.RECORDED if told_at is None else State.TOLD


def fingerprint(error: str | None) -> str:
    """An error's text with numbers and ids set aside, so that a retry counter does not make it new."""
    text = " ".join((error or "").lower().split())[: 4 * _FINGERPRINT_LENGTH]
    return _NUMBER.sub("#", _UUID_OR_HEX.sub("#", text))[:_FINGERPRINT_LENGTH]


def next_step(
    incident: OpenIncident | None,
    finding: Finding | None,
    *,
    now: datetime,
    quiet: bool,
    happened_again: bool,
    realert_interval: timedelta,
    errors: Sequence[str | None] = (),
    silenced: bool = False,
) -> Step:
    """What a verdict changes: `finding` is what is wrong now (None: nothing), `incident` what is open (None: nothing).

    A `quiet` one (already wrong when we were installed, or loaded from long ago) is recorded and not told until it
    `happened_again`. A critical incident is told again when `realert_interval` has passed by the clock, or at once when
    one of `errors`, those of new occurrences, is a new text; a warning never. While `silenced`, the alert asked for is
    one to record and not to send.
    """
    state = State.NONE if incident is None else incident.state
    seen = _sight(
        incident,
        finding,
        now=now,
        quiet=quiet,
        happened_again=happened_again,
        realert_interval=realert_interval,
        errors=errors,
    )
    rule = _TURNS[state, seen]
    turn = rule.in_silence if silenced else rule.then
    becomes = turn.becomes
    if becomes is State.TOLD and incident is not None and incident.acknowledged_at is not None:
        becomes = State.ACKNOWLEDGED
    told = incident is not None and incident.told_at is not None
    return Step(_change(state, becomes), _event(turn.tell, told=told), becomes)


def _sight(
    incident: OpenIncident | None,
    finding: Finding | None,
    *,
    now: datetime,
    quiet: bool,
    happened_again: bool,
    realert_interval: timedelta,
    errors: Sequence[str | None],
) -> Sight:
    if finding is None:
        return Sight.NOTHING
    if not finding.alerts:
        return Sight.SHOWN
    if incident is None:
        return Sight.OLD if quiet else Sight.NEWS
    if incident.state is State.RECORDED:
        return Sight.NEWS if happened_again else Sight.OLD
    if incident.state is State.SILENCED:
        return Sight.SAME
    return _sight_of_known(incident, finding, now=now, realert_interval=realert_interval, errors=errors)


def _sight_of_known(
    incident: OpenIncident,
    finding: Finding,
    *,
    now: datetime,
    realert_interval: timedelta,
    errors: Sequence[str | None],
) -> Sight:
    """Of what was told or acknowledged."""
    if finding.severity is not Health.CRITICAL:
        return Sight.SHOWN
    if any(fingerprint(error) not in incident.error_texts for error in errors):
        return Sight.NEWS
    overdue = incident.told_at is not None and now - incident.told_at >= realert_interval
    return Sight.DUE if overdue else Sight.SAME


def _change(before: State, after: State) -> Change:
    if before is State.NONE:
        return Change.NONE if after is State.NONE else Change.OPEN
    return Change.RESOLVE if after is State.NONE else Change.UPDATE


def _event(tell: Tell, *, told: bool) -> AlertEvent | None:
    if tell is Tell.PROBLEM:
        return AlertEvent.REPEATED if told else AlertEvent.OPENED
    return AlertEvent.RESOLVED if tell is Tell.END and told else None
