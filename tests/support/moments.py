"""Moments relative to now, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    return datetime.now(UTC)


def ago(**given: float) -> datetime:
    """So long before now: `ago(hours=3)`, with the arguments of timedelta."""
    return now() - timedelta(**given)


def noon(days_ago: int) -> datetime:
    """Noon of that day; today, if it is still morning, now."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return min(today - timedelta(days=days_ago) + timedelta(hours=12), now())
