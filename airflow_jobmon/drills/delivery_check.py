"""Follows one test alert to the channels' servers, and times how long each takes to accept it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_jobmon.core.drills.drills import Delivery, accepted_by, is_settled
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.drills.session import Drill

_SLACK = timedelta(seconds=2)


def follow(drill: Drill, alert_id: int, told_from: datetime, wanted: Sequence[str]) -> None:
    """A step for each channel that got the alert or should have: those it was addressed to, and those `wanted`."""
    limit_of = drill.options.limit_of

    def look() -> list[Delivery] | None:
        found, waited = drill.book.deliveries(alert_id, told_from)
        return found if all(is_settled(one, waited, limit_of(one.channel)) for one in found) else None

    addressed, _ = drill.book.deliveries(alert_id, told_from)
    longest = max((limit_of(one.channel) for one in addressed), default=timedelta(0))
    found = drill.wait(look, longest + _SLACK) or drill.book.deliveries(alert_id, told_from)[0]
    for one in found:
        drill.steps.append(accepted_by(one, told_from, limit_of(one.channel)))
    for name in wanted:
        if name not in {one.channel for one in found}:
            drill.add(
                f"accepted by {name}",
                f"within {format_duration(limit_of(name))}",
                "the alert was not addressed to it: whoever judged it has other channels configured",
                ok=False,
            )
    if not found and not wanted:
        drill.add(
            "accepted by a channel",
            "at least one",
            "none is configured for this job; name some in [jobmon] channels",
            ok=False,
        )
