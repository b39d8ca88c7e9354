"""The life of an incident: what a verdict changes about one job and kind, decided without I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from airflow_jobmon.core.alerts import AlertEvent
from airflow_jobmon.core.health import Finding, Health

_UUID_OR_HEX = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{4,}(?:-[0-9a-f]{4,})*\b")
_NUMBER = re.compile(r"\d+")
_FINGERPRINT_LENGTH = 300


class Change(StrEnum):
    """What happens to the incident itself."""

    NONE = "none"
    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open problem of one job and kind. told_at is None while nobody was told (already wrong at installation)."""

    id: int
    kind: str
    severity: Health
    opened_at: datetime
    detected_at: datetime
    told_at: datetime | None
    occurrences: int
    error_texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """The change to the incident, and the alert it asks for, if any."""

    change: Change
    alert: AlertEvent | None = None


def fingerprint(error: str | None) -> str:
    """An error's text with numbers and ids set aside, so that a retry counter does not make it new."""
    text = " ".join((error or "").lower().split())[: 4 * _FINGERPRINT_LENGTH]
    return _NUMBER.sub("#", _UUID_OR_HEX.sub("#", text))[:_FINGERPRINT_LENGTH]


def next_step(
    incident: OpenIncident | None,
    finding: Finding | None,
    *,
    now: datetime,
    installed_at: datetime,
    realert_interval: timedelta,
    new_occurrences: int = 0,
    error: str | None = None,
) -> Step:
    """What a verdict changes: `finding` is what is wrong now (None: nothing), `incident` what is open (None: nothing).

    What was already wrong when we were installed is recorded and not told. A critical incident is told again when
    `realert_interval` has passed by the clock, or at once when a new occurrence brings a new error text; a warning
    never. One that was recorded in silence is told as opened, once it occurs again or the interval has passed.
    """
    if finding is None:
        told = incident is not None and incident.told_at is not None
        return Step(Change.RESOLVE if incident else Change.NONE, AlertEvent.RESOLVED if told else None)
    if incident is None:
        known_before = finding.evidence_at <= installed_at
        return _open(known_before=known_before) if finding.alerts else Step(Change.NONE)
    if not finding.alerts:
        return Step(Change.UPDATE)
    interval_passed = now - (incident.told_at or incident.detected_at) >= realert_interval
    if finding.severity is not Health.CRITICAL:
        interval_passed = False
    if incident.told_at is None:
        return Step(Change.UPDATE, AlertEvent.OPENED if new_occurrences or interval_passed else None)
    new_text = new_occurrences > 0 and fingerprint(error) not in incident.error_texts
    return Step(Change.UPDATE, AlertEvent.REPEATED if new_text or interval_passed else None)


def _open(*, known_before: bool) -> Step:
    return Step(Change.OPEN, None if known_before else AlertEvent.OPENED)
