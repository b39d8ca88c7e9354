"""The `[jobmon]` section of Airflow's configuration, read when used, never at import."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_jobmon.core.times import format_duration, parse_duration
from airflow_jobmon.errors import ConfigurationError

UNREGISTERED = ("learn", "defaults", "ignore")

COLUMNS = ("id", "job_name", "started_at", "completed_at", "records_updated", "status", "error_message")
"""Our names for the columns of jobs_log; `jobs_log_columns` maps them to the table's names."""

STATUSES = ("running", "success", "failed")
"""Our statuses; `status_words` maps them to the words in the table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the whole installation; a field of the same name on a job overrides them.

    jobs_log_columns: our column name to the table's. status_words: our status to the words in the table. base_url:
    Airflow's own address, with its path, without a trailing slash; None if it is not configured.
    """

    conn_id: str = "jobmon_default"
    jobs_log_table: str = "public.jobs_log"
    jobs_log_columns: Mapping[str, str] = field(default_factory=dict)
    status_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    unregistered_jobs: str = "learn"
    sweep_interval: timedelta = timedelta(seconds=30)
    realert_interval: timedelta = timedelta(hours=24)
    api_token: str | None = None
    heartbeat_conn_id: str | None = None
    base_url: str | None = None


def load() -> Settings:
    """The current settings from Airflow's configuration: environment, airflow.cfg, `_CMD`, `_SECRET`.

    Raises ConfigurationError with the option, its value and how to write it.
    """
    from airflow.sdk import conf  # noqa: PLC0415 - takes a second to import, and pure code reads Settings too

    texts = {option: conf.get("jobmon", option, fallback=None) for option in OPTIONS}
    base_url = conf.get("api", "base_url", fallback=None)
    return read_settings(texts, base_url=base_url)


def read_settings(texts: Mapping[str, str | None], *, base_url: str | None = None) -> Settings:
    """Settings from the text of each option; an absent or empty option keeps its default."""
    values: dict[str, Any] = {}
    for option, text in texts.items():
        if text is None or not text.strip():
            continue
        try:
            values[option] = OPTIONS[option](text.strip())
        except ValueError as error:
            raise ConfigurationError(
                f"[jobmon] {option}: {error} (set in airflow.cfg or as AIRFLOW__JOBMON__{option.upper()})"
            ) from None
    return Settings(**values, base_url=(base_url or "").strip().rstrip("/") or None)


def _duration(text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    if duration <= timedelta(0):
        raise ValueError(f"{format_duration(duration)} is not a positive duration; write it like 30s, 15m or 24h")
    return duration


def _names(text: str) -> tuple[str, ...]:
    """Comma-separated connection ids, in the order given, without repeats; an id holds no space or semicolon."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if re.search(r"[\s;]", name):
            raise ValueError(
                f"{name[:60]!r} is not a connection id; separate ids by commas, like slack_oncall, mail_oncall"
            )
    return names


def _unregistered(text: str) -> str:
    return _known(text.lower(), UNREGISTERED, "way to treat unregistered jobs")


def _columns(text: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for ours, theirs in _pairs(text, example="job_name=name, started_at=start_time"):
        if not isinstance(theirs, str) or not theirs:
            raise ValueError(f"{ours[:60]} needs the name of a column, not {theirs!r:.60}")
        columns[_known(ours, COLUMNS, "column")] = theirs
    return columns


def _status_words(text: str) -> dict[str, tuple[str, ...]]:
    """Words are a JSON list, or joined by `|`; each word belongs to one status."""
    words: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for ours, theirs in _pairs(text, example="failed=error|aborted, success=ok"):
        status = _known(ours, STATUSES, "status")
        listed = theirs.split("|") if isinstance(theirs, str) else theirs
        words_only = isinstance(listed, list) and all(isinstance(word, str) and word.strip() for word in listed)
        if not (words_only and listed):
            raise ValueError(
                f"{status} needs the words that the log uses for it, like error|aborted, not {theirs!r:.60}"
            )
        words[status] = tuple(dict.fromkeys(word.strip() for word in listed))
        for word in words[status]:
            if taken.setdefault(word, status) != status:
                raise ValueError(f"{word[:60]!r} is listed for both {taken[word]} and {status}; keep it in one")
    return words


def _pairs(text: str, *, example: str) -> list[tuple[str, Any]]:
    """Read `a=b, c=d`, or a JSON object for names that hold commas or equals signs; no key may occur twice."""
    pairs: list[tuple[str, Any]]
    if text.startswith(("{", "[")):
        try:
            read = json.loads(text, object_pairs_hook=lambda found: found)
        except json.JSONDecodeError as error:
            raise ValueError(f"malformed JSON at character {error.pos + 1}: {error.msg}") from None
        if not text.startswith("{"):
            raise ValueError(f"{text[:60]!r} is not a JSON object; write {example}, or an object")
        pairs = read
    else:
        pairs = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            ours, equals, theirs = part.partition("=")
            if not (equals and ours.strip() and theirs.strip()):
                raise ValueError(f"{part[:60]!r} is not of the form ours=theirs; write it like {example}")
            pairs.append((ours.strip(), theirs.strip()))
    keys = [ours for ours, _ in pairs]
    if repeated := next((ours for ours in keys if keys.count(ours) > 1), None):
        raise ValueError(f"{repeated[:60]!r} is given twice; keep one")
    return pairs


def _known(word: str, words: tuple[str, ...], what: str) -> str:
    if word in words:
        return word
    from difflib import get_close_matches  # noqa: PLC0415 - needed for mistakes only

    near = get_close_matches(word, words, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{word[:60]!r} is not a {what}{hint}; use one of {', '.join(words)}")


OPTIONS: dict[str, Callable[[str], Any]] = {
    "conn_id": str,
    "jobs_log_table": str,
    "jobs_log_columns": _columns,
    "status_words": _status_words,
    "channels": _names,
    "unregistered_jobs": _unregistered,
    "sweep_interval": _duration,
    "realert_interval": _duration,
    "api_token": str,
    "heartbeat_conn_id": str,
}
"""Every option of the section and its reader; each is a field of Settings."""
