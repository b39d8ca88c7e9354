"""Follows a test alert to each channel's server, and times how long the server takes to accept it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_jobmon.core.drills.drills import Delivery, accepted_by, is_settled
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.drills.session import Drill

_EXTRA_WAIT = timedelta(seconds=2)


def follow(drill: Drill, alert_id: int, sent_from: datetime, wanted: Sequence[str]) -> None:
    """Add a step for each channel that got the alert or should have: those it was addressed to, and those `wanted`."""
    limit_of = drill.options.limit_of

    def poll() -> list[Delivery] | None:
        found, waited = drill.journal.deliveries(alert_id, sent_from)
        return found if all(is_settled(one, waited, limit_of(one.channel)) for one in found) else None

    addressed, _ = drill.journal.deliveries(alert_id, sent_from)
    longest = max((limit_of(one.channel) for one in addressed), default=timedelta(0))
    found = drill.wait(poll, longest + _EXTRA_WAIT) or drill.journal.deliveries(alert_id, sent_from)[0]
    for one in found:
        drill.steps.append(accepted_by(one, sent_from, limit_of(one.channel)))
    for name in wanted:
        if name not in {one.channel for one in found}:
            drill.add(
                f"accepted by {name}",
                f"within {format_duration(limit_of(name))}",
                "not addressed: the watcher that evaluated the alert has other channels configured",
                ok=False,
            )
    if not found and not wanted:
        drill.add(
            "accepted by a channel",
            "at least one",
            "no channel is configured for this job; set [jobmon] channels",
            ok=False,
        )
