"""How long to wait before the next attempt."""

from __future__ import annotations

from datetime import timedelta

FIRST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)
_DOUBLINGS = 9


def backoff(failures: int, *, jitter: float, first: timedelta = FIRST, longest: timedelta = LONGEST) -> timedelta:
    """The wait after `failures` in a row (1 or more): `first`, doubling up to `longest`.

    `jitter` in [0, 1) lengthens it by up to a quarter, so that many clients do not retry at once; it is never shorter
    than `first` nor longer than `longest`.
    """
    doubled: timedelta = first * (1 << min(max(failures - 1, 0), _DOUBLINGS))
    return min(doubled * (1 + jitter / 4), longest)
