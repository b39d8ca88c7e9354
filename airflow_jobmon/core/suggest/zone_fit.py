"""Which zone's clocks a job follows: the one whose clock changes its starts moved with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow_jobmon.core.schedule.zones import periods_after_changes
from airflow_jobmon.core.suggest.cron_candidates import cron_candidates, usual_weekdays
from airflow_jobmon.core.suggest.cron_fit import Fit, fit_cron

USUAL_ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "Australia/Sydney",
)
"""Their clock changes cover most of the world; ask for other zones by name."""

_CLEARLY_BETTER = 2.5
"""Difference in cost. A run or two may be an hour late by chance; three are not."""


def fit_zones(
    starts: Sequence[datetime], size: int, zones: Sequence[str], until: datetime, *, cut: bool = False
) -> list[Fit]:
    """The best good fit to the newest `size` starts in each family of zones, the chosen one first, the rest in order.

    The first that no other clearly beats is chosen. `cut`: the job also ran before these starts, on unknown days.
    """
    found: list[Fit] = []
    for family in families(zones, starts[-size], until):
        best = next((fit for zone in family if (fit := _best_fit(starts, size, zone, until, cut=cut))), None)
        if best is not None:
            if is_the_same_anywhere(best):
                return [best]
            found.append(best)
    chosen = next((fit for fit in found if not any(is_clearly_better(other, fit) for other in found)), None)
    return [] if chosen is None else [chosen, *(fit for fit in found if fit is not chosen)]


def _best_fit(starts: Sequence[datetime], size: int, zone: str, until: datetime, *, cut: bool) -> Fit | None:
    """The best good fit of this zone to the newest `size` starts; the earlier ones only show weekdays."""
    info = ZoneInfo(zone)
    walls = [start.astimezone(info).replace(tzinfo=None) for start in starts]
    unseen = set(range(7)) if cut else usual_weekdays(walls)
    candidates = cron_candidates(walls[-size:], until.astimezone(info).replace(tzinfo=None), unseen)
    fits = [fit for cron in candidates if (fit := fit_cron(cron, zone, starts[-size:], until)) and fit.is_good]
    # Each further list item must explain a further run.
    return min(fits, key=lambda fit: (round(fit.cost + fit.expression.count(",")), len(fit.expression)), default=None)


def is_the_same_anywhere(fit: Fit) -> bool:
    """Whether it runs in every hour of every day, so that the zone makes no difference."""
    return fit.expression.endswith(" * * * *")


def is_clearly_better(one: Fit, other: Fit) -> bool:
    """Whether the runs clearly favour the first."""
    return one.cost + _CLEARLY_BETTER <= other.cost


def families(zones: Sequence[str], start: datetime, end: datetime) -> list[list[str]]:
    """Zones grouped by equal clock changes between these: the starts cannot distinguish zones of one family."""
    found: dict[tuple[tuple[date, timedelta], ...], list[str]] = {}
    for zone in dict.fromkeys(zones):
        changes = tuple(
            (period.start.date(), period.wall(period.start) - period.reached)
            for period in periods_after_changes(zone, start, end)
        )
        found.setdefault(changes, []).append(zone)
    return list(found.values())


def evidence_for_zone(fits: Sequence[Fit], zones: Sequence[str], start: datetime, end: datetime) -> str:
    """In words: how certain the zone of the first of these fits is, given the runs from `start` to `end`."""
    fit, *others = fits
    known = families(zones, start, end)
    own = next(family for family in known if fit.zone in family)
    if len(known) == 1:
        return f"no clock changed in this period, so the zone is uncertain: {fit.zone} is assumed"
    if alike := [other.zone for other in others if not is_clearly_better(fit, other)]:
        return f"the zone is uncertain, with so few runs around a clock change: {fit.zone} or {' or '.join(alike)}"
    changes = [f"{period.start:%Y-%m-%d}" for period in periods_after_changes(fit.zone, start, end)]
    if changes:
        alike = [zone for zone in own if zone != fit.zone]
        return f"it moved with the clocks of {fit.zone} on {' and '.join(changes)}" + (
            f" (so did those of {' and '.join(alike)})" if alike else ""
        )
    elsewhere = [family[0] for family in known if family is not own]
    return f"it stayed on {fit.zone} time when the clocks changed in {' and '.join(elsewhere)}"
