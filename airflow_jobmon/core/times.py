"""Parsing and formatting of moments and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import overload

from airflow_jobmon.errors import ConfigurationError

_SHORT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_ISO = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h`, `1h30m`, `2d`, or ISO 8601 (`PT1H`); a bare number is refused, since its unit would be a guess."""
    stripped = text.strip()
    try:
        if stripped[:1] in {"P", "p"} and (found := _ISO.fullmatch(stripped)) and any(found.groups()):
            return timedelta(
                seconds=sum(float(value) * _UNITS[unit] for unit, value in found.groupdict().items() if value)
            )
        parts = _SHORT.findall(stripped.lower())
        if parts and _SHORT.sub("", stripped.lower()).strip() == "":
            return timedelta(seconds=sum(float(value) * _UNITS[unit] for value, unit in parts))
    except OverflowError:
        pass
    raise ConfigurationError(f"{text[:60]!r} is not a valid duration; write it like 90s, 15m, 1h30m, 2d or PT1H")


def format_duration(value: timedelta) -> str:
    """The shortest exact form that `parse_duration` reads back: `1h30m`, `90s` becomes `1m30s`."""
    seconds = value.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-value)
    parts: list[str] = []
    whole = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    rest = whole + round(seconds - int(seconds), 6)
    if rest or not parts:
        parts.append(f"{f'{rest:.6f}'.rstrip('0').rstrip('.')}s")
    return "".join(parts)


def roughly(value: timedelta) -> str:
    """Rounded for reading, at most two units: `3 s`, `2 min 5 s`, `26.2 h`, `3 d 4 h`."""
    seconds = max(value.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if (whole := round(seconds)) < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


def relative(moment: datetime, now: datetime) -> str:
    """The distance from `now` in one unit: `in 3 h`, `2 h ago`, `1 min ago`; `now` within half a minute."""
    seconds = abs((moment - now).total_seconds())
    if seconds < 30:
        return "now"
    if seconds < 90 * 60:
        far = f"{round(seconds / 60) or 1} min"
    elif seconds < 36 * 3600:
        far = f"{round(seconds / 3600)} h"
    else:
        far = f"{round(seconds / 86400)} d"
    return f"in {far}" if moment > now else f"{far} ago"


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: None) -> None: ...
@overload
def iso(moment: datetime | None) -> str | None: ...
def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with a Z; the fraction of a second only if there is one."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_the_second(moment: datetime) -> str:
    """ISO 8601 in UTC without a fraction: `2025-11-13T02:05:00Z`."""
    return iso(moment.replace(microsecond=0))


def parse_moment(text: str) -> datetime:
    """ISO 8601; a time without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"{text[:60]!r} is not a valid time; write ISO 8601, like 2025-11-13T02:05:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
