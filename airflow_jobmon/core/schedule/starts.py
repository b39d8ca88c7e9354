"""When a job's runs started: how many of them it takes to find a schedule, and the gaps between them.

Shared by `learning`, which finds an unregistered job's deadlines, and `core.suggest`, which finds a cron expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import overload

FEWEST_RUNS = 5
"""Fewer do not show a schedule."""

SHORTEST_SPAN = timedelta(days=1)
"""Runs that span less time do not either: they show neither a night nor a weekday."""


@overload
def gaps_between(starts: Sequence[datetime]) -> list[timedelta]: ...
@overload
def gaps_between(starts: Sequence[float]) -> list[float]: ...
def gaps_between(starts: Sequence[datetime] | Sequence[float]) -> list[timedelta] | list[float]:
    """From each start to the next one, in order."""
    return [later - sooner for sooner, later in pairwise(starts)]  # type: ignore[operator]
