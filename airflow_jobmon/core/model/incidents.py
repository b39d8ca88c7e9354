"""The life cycle of an incident: a table of its states, what an evaluation observes in each, and what follows."""

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


class IncidentState(StrEnum):
    """The state of one job and kind; all but `none` are open incidents."""

    NONE = "none"
    RECORDED = "recorded"
    NOTIFIED = "notified"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"


class Observation(StrEnum):
    """What an evaluation observes of one job and kind."""

    NO_FINDING = "no finding"
    NOT_ALERTING = "non-alerting finding"
    PREEXISTING = "pre-existing finding"
    UNCHANGED = "unchanged finding"
    INTERVAL_PASSED = "repeat interval passed"
    NEW_PROBLEM = "new problem"


class Notification(StrEnum):
    """What to send: a problem is `opened` the first time and `repeated` from then on.

    `resolved` goes only to channels that were notified of the problem.
    """

    NONE = "none"
    PROBLEM = "opened or repeated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Effect:
    """The notification to send, and the state that follows."""

    notification: Notification
    next_state: IncidentState


@dataclass(frozen=True, slots=True)
class TransitionRule:
    """One row of the table. The notification of `during_silence` is recorded and not sent."""

    state: IncidentState
    observations: tuple[Observation, ...]
    effect: Effect
    during_silence: Effect


_NOTIFY = Effect(Notification.PROBLEM, IncidentState.NOTIFIED)
_HOLD_BACK = Effect(Notification.PROBLEM, IncidentState.SILENCED)
_RESOLVE = Effect(Notification.RESOLVED, IncidentState.NONE)


def _stay(state: IncidentState) -> Effect:
    return Effect(Notification.NONE, state)


def _rule(
    state: IncidentState, *observations: Observation, then: Effect, during_silence: Effect | None = None
) -> TransitionRule:
    return TransitionRule(state, observations, then, during_silence or then)


TABLE: tuple[TransitionRule, ...] = (
    _rule(IncidentState.NONE, Observation.NO_FINDING, Observation.NOT_ALERTING, then=_stay(IncidentState.NONE)),
    _rule(IncidentState.NONE, Observation.PREEXISTING, then=_stay(IncidentState.RECORDED)),
    _rule(IncidentState.NONE, Observation.NEW_PROBLEM, then=_NOTIFY, during_silence=_HOLD_BACK),
    _rule(
        IncidentState.RECORDED, Observation.PREEXISTING, Observation.NOT_ALERTING, then=_stay(IncidentState.RECORDED)
    ),
    _rule(IncidentState.RECORDED, Observation.NEW_PROBLEM, then=_NOTIFY, during_silence=_HOLD_BACK),
    _rule(IncidentState.RECORDED, Observation.NO_FINDING, then=_RESOLVE),
    _rule(IncidentState.NOTIFIED, Observation.NOT_ALERTING, then=_stay(IncidentState.NOTIFIED)),
    _rule(
        IncidentState.NOTIFIED,
        Observation.UNCHANGED,
        then=_stay(IncidentState.NOTIFIED),
        during_silence=_stay(IncidentState.SILENCED),
    ),
    _rule(
        IncidentState.NOTIFIED,
        Observation.INTERVAL_PASSED,
        Observation.NEW_PROBLEM,
        then=_NOTIFY,
        during_silence=_HOLD_BACK,
    ),
    _rule(IncidentState.NOTIFIED, Observation.NO_FINDING, then=_RESOLVE),
    _rule(
        IncidentState.ACKNOWLEDGED,
        Observation.NOT_ALERTING,
        Observation.UNCHANGED,
        Observation.INTERVAL_PASSED,
        then=_stay(IncidentState.ACKNOWLEDGED),
    ),
    _rule(
        IncidentState.ACKNOWLEDGED,
        Observation.NEW_PROBLEM,
        then=Effect(Notification.PROBLEM, IncidentState.ACKNOWLEDGED),
        during_silence=_HOLD_BACK,
    ),
    _rule(IncidentState.ACKNOWLEDGED, Observation.NO_FINDING, then=_RESOLVE),
    _rule(IncidentState.SILENCED, Observation.NOT_ALERTING, then=_stay(IncidentState.SILENCED)),
    _rule(
        IncidentState.SILENCED,
        Observation.UNCHANGED,
        Observation.INTERVAL_PASSED,
        Observation.NEW_PROBLEM,
        then=_NOTIFY,
        during_silence=_stay(IncidentState.SILENCED),
    ),
    _rule(IncidentState.SILENCED, Observation.NO_FINDING, then=_RESOLVE),
)
"""The whole life cycle; docs/incidents.md shows this table and `next_transition` follows it."""

_RULES: Mapping[tuple[IncidentState, Observation], TransitionRule] = MappingProxyType(
    {(rule.state, observation): rule for rule in TABLE for observation in rule.observations}
)


class Action(StrEnum):
    """What happens to the incident itself."""

    NONE = "none"
    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open problem of one job and kind.

    notified_at: when its last alert to be sent was created; None before the first. silenced_at: since when a silence
    has held an alert back. acknowledged_at: when a user acknowledged it. error_texts: fingerprints of the errors in its
    alerts, and of those known when it was acknowledged.
    """

    id: int
    kind: str
    severity: Health
    opened_at: datetime
    detected_at: datetime
    notified_at: datetime | None
    occurrences: int
    error_texts: frozenset[str]
    silenced_at: datetime | None = None
    acknowledged_at: datetime | None = None

    @property
    def state(self) -> IncidentState:
        return state_of(self.notified_at, self.silenced_at, self.acknowledged_at)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one evaluation found of one kind.

    finding: None where nothing is wrong. preexisting: it was already wrong at the installation, or was loaded from long
    ago. happened_again: it occurred since it was recorded. errors: the error texts of new failures.
    """

    finding: Finding | None
    preexisting: bool = False
    happened_again: bool = False
    errors: Sequence[str | None] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """What happens to the incident, the alert to create, if any, and the state that follows."""

    action: Action
    alert: AlertEvent | None
    next_state: IncidentState


def state_of(
    notified_at: datetime | None, silenced_at: datetime | None, acknowledged_at: datetime | None
) -> IncidentState:
    """The state of an open incident.

    An acknowledgement covers what a silence had held back until then, not what it holds back later.
    """
    if silenced_at is not None and (acknowledged_at is None or acknowledged_at < silenced_at):
        return IncidentState.SILENCED
    if acknowledged_at is not None:
        return IncidentState.ACKNOWLEDGED
    return IncidentState.RECORDED if notified_at is None else IncidentState.NOTIFIED


def fingerprint(error: str | None) -> str:
    """An error's text without its numbers and ids, so that a retry counter does not make it new."""
    text = " ".join((error or "").lower().split())[: 4 * _FINGERPRINT_LENGTH]
    return _NUMBER.sub("#", _UUID_OR_HEX.sub("#", text))[:_FINGERPRINT_LENGTH]


def observe(
    incident: OpenIncident | None, evidence: Evidence, *, now: datetime, realert_interval: timedelta
) -> Observation:
    """Compare what was found at `now` with the open incident (None: there is none).

    A new error text is a new problem at once, and `realert_interval` passes by the clock; both only for critical ones.
    """
    finding = evidence.finding
    if finding is None:
        return Observation.NO_FINDING
    if not finding.alerts:
        return Observation.NOT_ALERTING
    if incident is None or incident.state is IncidentState.RECORDED:
        new = evidence.happened_again if incident else not evidence.preexisting
        return Observation.NEW_PROBLEM if new else Observation.PREEXISTING
    if incident.state is IncidentState.SILENCED:
        return Observation.UNCHANGED
    return _observe_notified(incident, finding, evidence.errors, now=now, realert_interval=realert_interval)


def _observe_notified(
    incident: OpenIncident,
    finding: Finding,
    errors: Sequence[str | None],
    *,
    now: datetime,
    realert_interval: timedelta,
) -> Observation:
    if finding.severity is not Health.CRITICAL:
        return Observation.NOT_ALERTING
    if any(fingerprint(error) not in incident.error_texts for error in errors):
        return Observation.NEW_PROBLEM
    passed = incident.notified_at is not None and now - incident.notified_at >= realert_interval
    return Observation.INTERVAL_PASSED if passed else Observation.UNCHANGED


def next_transition(incident: OpenIncident | None, observation: Observation, *, silenced: bool = False) -> Transition:
    """Look up what follows from an observation; while `silenced`, the alert is recorded and not sent."""
    state = IncidentState.NONE if incident is None else incident.state
    rule = _RULES[state, observation]
    effect = rule.during_silence if silenced else rule.effect
    next_state = effect.next_state
    if next_state is IncidentState.NOTIFIED and incident is not None and incident.acknowledged_at is not None:
        next_state = IncidentState.ACKNOWLEDGED
    notified = incident is not None and incident.notified_at is not None
    return Transition(_action(state, next_state), _event(effect.notification, notified=notified), next_state)


def _action(before: IncidentState, after: IncidentState) -> Action:
    if before is IncidentState.NONE:
        return Action.NONE if after is IncidentState.NONE else Action.OPEN
    return Action.RESOLVE if after is IncidentState.NONE else Action.UPDATE


def _event(notification: Notification, *, notified: bool) -> AlertEvent | None:
    if notification is Notification.PROBLEM:
        return AlertEvent.REPEATED if notified else AlertEvent.OPENED
    return AlertEvent.RESOLVED if notification is Notification.RESOLVED and notified else None
