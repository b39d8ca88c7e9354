"""The field types of a registry entry: each reads text from a file, and its errors say how to write a valid value."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from airflow_jobmon.core.schedule.cron import read_cron
from airflow_jobmon.core.schedule.zones import check_zone
from airflow_jobmon.core.times import format_duration, parse_duration
from airflow_jobmon.errors import ConfigurationError

_LONGEST = timedelta(days=3660)
"""A longer duration would lead past the end of the calendar, and is a typing error."""

_NAME = 500
"""Characters of a job's name: the primary key can hold that many, whatever they are."""

_DURATION_PATTERN = (
    r"^\s*(?:(?:\d+(?:\.\d+)?\s*(?:[mM][sS]|[sSmMhHdDwW])\s*)+"
    r"|[pP](?=[\dtT])(?:\d+(?:\.\d+)?[wW])?(?:\d+(?:\.\d+)?[dD])?"
    r"(?:[tT](?=\d)(?:\d+(?:\.\d+)?[hH])?(?:\d+(?:\.\d+)?[mM])?(?:\d+(?:\.\d+)?[sS])?)?)\s*$"
)
_ONE_LINE_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}

_CRON_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _read_duration(value: Any) -> Any:
    """Read text here, with our own message; pydantic would guess that a bare number is in seconds."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        if value.lstrip().startswith("-"):
            raise ValueError(f"{value[:60]!r} is negative; write a duration like 90s, 1h or 2d")
        try:
            return parse_duration(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
    raise ValueError(f"{_shown(value)} is not a valid duration; write it like 90s, 1h or 2d")


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError(f"{format_duration(value)} is negative; write 0s or more")
    if value > _LONGEST:
        raise ValueError(f"{format_duration(value)} is longer than ten years; write it like 90s, 1h or 2d")
    return value


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError(f"{format_duration(value)} is not a positive duration; write it like 90s, 1h or 2d")
    return _not_negative(value)


def _one_line(value: str, longest: int) -> str:
    if not value.strip():
        raise ValueError("it is empty; write some text, or leave the field out")
    for place, char in enumerate(value, start=1):
        if unicodedata.category(char) in _NOT_IN_A_LINE:
            code = char.encode("unicode_escape", "surrogatepass").decode()
            raise ValueError(f"character {place} is {code}, which is not allowed; write one line of plain text")
    if len(value) > longest:
        raise ValueError(f"it has {len(value)} characters ({value[:30]!r}...); write at most {longest}")
    return value


def _name(value: str) -> str:
    if value != value.strip():
        raise ValueError(f"{value[:60]!r} starts or ends with a space; remove it")
    return _one_line(value, _NAME)


def _word(value: str) -> str:
    return _one_line(value, 100)


def _sentence(value: str) -> str:
    return _one_line(value, 300)


def _url(value: str) -> str:
    try:
        host = urlsplit(value).hostname if value.startswith(("http://", "https://")) else None
    except ValueError:
        host = None
    if not host or re.search(r"\s", value):
        raise ValueError(f"{value[:80]!r} is not a valid link; it must start with https:// or http:// and name a host")
    return _one_line(value, 2000)


def _channel(value: str) -> str:
    if re.search(r"[\s,;]", value) or not value:
        raise ValueError(f"{value[:60]!r} is not a valid connection id; write a list: [slack_ops, mail_ops]")
    return _one_line(value, 250)


def _cron(value: str) -> str:
    if written := _CRON_NICKNAMES.get(value.strip().lower()):
        raise ValueError(f"{value.strip()!r} is not supported; write {written}")
    if len(value.split()) == 6:
        raise ValueError(f"{value[:60]!r} has six fields; write five, like 0 2 * * *: minutes first, and no seconds")
    try:
        read_cron(value)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("schedule ")) from None
    return _one_line(value, 300)


def _zone(value: str) -> str:
    try:
        check_zone(value)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("timezone ")) from None
    return value


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value!r:.60}"


def _text(check: Any, *, longest: int, **schema: Any) -> tuple[Any, Any]:
    fits = {"type": "string", "minLength": 1, "maxLength": longest, "pattern": _ONE_LINE_PATTERN, **schema}
    return AfterValidator(check), WithJsonSchema(fits)


_Written = PlainSerializer(format_duration, return_type=str)
_DURATION = {"type": "string", "pattern": _DURATION_PATTERN}

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    AfterValidator(_positive),
    _Written,
    WithJsonSchema({**_DURATION, "examples": ["90s", "15m", "1h30m", "2d", "PT1H"]}),
]
"""Longer than 0s."""

Allowance = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    AfterValidator(_not_negative),
    _Written,
    WithJsonSchema({**_DURATION, "examples": ["0s", "5m", "1h"]}),
]
"""A duration that may be 0s."""

Name = Annotated[str, *_text(_name, longest=_NAME)]
Word = Annotated[str, *_text(_word, longest=100)]
Sentence = Annotated[str, *_text(_sentence, longest=300)]
Url = Annotated[str, *_text(_url, longest=2000, pattern=r"^https?://[^\s/][^\s]*$")]
ChannelName = Annotated[str, *_text(_channel, longest=250, pattern=r"^[^\s,;]+$")]
Cron = Annotated[str, *_text(_cron, longest=300)]
Zone = Annotated[str, *_text(_zone, longest=100)]

# Strict elsewhere; a YAML file and a JSON column have lists where the model has tuples.
Words = Annotated[tuple[Word, ...], Field(strict=False), AfterValidator(lambda words: tuple(sorted(set(words))))]
"""Sorted, without duplicates."""
ChannelNames = Annotated[
    tuple[ChannelName, ...], Field(strict=False), AfterValidator(lambda names: tuple(dict.fromkeys(names)))
]
"""In the order given, without duplicates."""
