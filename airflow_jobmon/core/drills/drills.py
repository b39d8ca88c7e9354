"""The steps of an alert drill: what was expected, what was observed, and whether it proves that alerts arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from airflow_jobmon.core.model.waits import check_job_name
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.core.times import format_duration, iso, parse_duration
from airflow_jobmon.errors import ConfigurationError

FAILURE, MISSED, END_TO_END = "failure", "missed", "end-to-end"
DRILLS = (FAILURE, MISSED, END_TO_END)

SIMULATED = "TEST ALERT - Please ignore this simulated failure"
"""The error of a simulated failure starts with this."""

WITHIN = timedelta(minutes=1)
"""How long the evaluation may take, and how long each channel except email may take to accept the alert."""

WITHIN_BY_MAIL = timedelta(minutes=5)

MAIL_TYPES = frozenset({"smtp", "resend"})
"""Connection types that send mail."""

_QUOTED = 300
"""Characters of foreign text that a cell quotes."""


def simulated_error(drill_id: UUID) -> str:
    """The error of this drill's simulated failure; no other drill writes the same."""
    return f"{SIMULATED} (drill {drill_id})"


def check_drill(drill: Any, job_name: Any) -> None:
    """Raise ConfigurationError for an unknown drill, or a name that no job can have."""
    if drill not in DRILLS:
        raise ConfigurationError(f"drill is {str(drill)[:60]!r}; use one of {', '.join(DRILLS)}")
    check_job_name(job_name)
    if not job_name.strip():
        raise ConfigurationError(f"job_name is {job_name[:60]!r}, which is blank; give the name that the job logs")


def limit_of(conn_type: str | None) -> timedelta:
    """How long a channel with this type of connection may take; None is an unknown type."""
    return WITHIN_BY_MAIL if conn_type in MAIL_TYPES else WITHIN


def read_within(value: timedelta | str | None) -> timedelta | None:
    """How long a drill may wait. Raises ConfigurationError unless the value is a duration of at most an hour."""
    within = parse_duration(value) if isinstance(value, str) else value
    if within is not None and not timedelta(0) < within <= timedelta(hours=1):
        raise ConfigurationError(
            f"within is {format_duration(within)}, which is out of bounds; give more than 0s and at most 1h"
        )
    return within


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a drill's output. seconds: since the simulated event, None for a step that is not timed."""

    step: str
    expected: str
    observed: str
    ok: bool
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {
            "step": self.step,
            "expected": self.expected,
            "observed": self.observed,
            "seconds": seconds,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class DrillResult:
    """A drill that ran to its end, passed or not."""

    id: UUID
    drill: str
    job_name: str
    began_at: datetime
    steps: Sequence[Step]

    @property
    def passed(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def failures(self) -> str:
        """The failed steps, in one line; empty if the drill passed."""
        return "; ".join(f"{step.step}: {step.observed}" for step in self.steps if not step.ok)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "drill": self.drill,
            "job_name": self.job_name,
            "began_at": iso(self.began_at),
            "passed": self.passed,
            "steps": [step.as_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of an alert's delivery on one channel."""

    channel: str
    state: str
    attempts: int
    sent_at: datetime | None
    last_error: str | None


def is_settled(delivery: Delivery, waited: timedelta, limit: timedelta) -> bool:
    """Whether waiting longer would not change the outcome."""
    return delivery.state != "pending" or waited > limit


def accepted_by(delivery: Delivery, sent_from: datetime, limit: timedelta) -> Step:
    """The step for one channel: whether its server accepted the whole message in time, or what it answered instead."""
    seconds = None if delivery.sent_at is None else (delivery.sent_at - sent_from).total_seconds()
    late = seconds is not None and seconds > limit.total_seconds()
    said = quoted(delivery.last_error) if delivery.last_error else ""
    if delivery.state == "sent":
        observed = "accepted" + (", but too late" if late else "") + (f", but {said}" if said else "")
    elif delivery.state == "dead":
        observed = f"refused for good: {said}"
    elif delivery.state == "silenced":
        observed = "silenced" + (f": {said}" if said else "")
    elif delivery.attempts:
        observed = f"not accepted in {format_duration(limit)}: {said or 'no response yet'}; still retrying"
    else:
        observed = (
            f"no attempt in {format_duration(limit)}: no process delivers to this channel; run: airflow jobmon doctor"
        )
    arrived = delivery.state == "sent" and not late and not said
    return Step(f"accepted by {delivery.channel}", f"within {format_duration(limit)}", observed, arrived, seconds)


def quoted(text: str) -> str:
    """Foreign text in a cell: one line, secrets masked, not too long."""
    return fit(one_line(text), _QUOTED)
