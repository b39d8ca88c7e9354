"""The life of an incident: what a verdict changes about one job and kind, decided without I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    quiet: bool,
    happened_again: bool,
    realert_interval: timedelta,
    errors: Sequence[str | None] = (),
) -> Step:
    """What a verdict changes: `finding` is what is wrong now (None: nothing), `incident` what is open (None: nothing).

    A `quiet` one (already wrong when we were installed, or loaded from long ago) is recorded and not told until it
    `happened_again`, then it is told as opened. A critical incident is told again when `realert_interval` has passed by
    the clock, or at once when one of `errors`, those of new occurrences, is a new text; a warning never.
    """
    if finding is None:
        told = incident is not None and incident.told_at is not None
        return Step(Change.RESOLVE if incident else Change.NONE, AlertEvent.RESOLVED if told else None)
    if incident is None:
        return Step(Change.OPEN, None if quiet else AlertEvent.OPENED) if finding.alerts else Step(Change.NONE)
    alert: AlertEvent | None = None
    if finding.alerts and incident.told_at is None:
        alert = AlertEvent.OPENED if happened_again else None
    elif finding.alerts and incident.told_at is not None and finding.severity is Health.CRITICAL:
        new_text = any(fingerprint(error) not in incident.error_texts for error in errors)
        alert = AlertEvent.REPEATED if new_text or now - incident.told_at >= realert_interval else None
    return Step(Change.UPDATE, alert)
