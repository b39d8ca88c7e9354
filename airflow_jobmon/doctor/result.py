"""What a check says: a state, what was seen, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import JobmonError

_LONGEST_REASON = 300
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class State(StrEnum):
    """Worst first."""

    WRONG = "wrong"
    WARNING = "warning"
    OK = "ok"
    NOT_CHECKED = "not checked here"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one check found. about: which of several things it looked at, a channel's name for instance."""

    state: State
    seen: str
    advice: str = ""
    about: str = ""


def ok(seen: str, *, about: str = "") -> Diagnosis:
    return Diagnosis(State.OK, seen, about=about)


def warning(seen: str, advice: str, *, about: str = "") -> Diagnosis:
    """Alerts arrive now, but later, or not under every circumstance."""
    return Diagnosis(State.WARNING, seen, advice, about)


def wrong(seen: str, advice: str, *, about: str = "") -> Diagnosis:
    """Some alert does not arrive."""
    return Diagnosis(State.WRONG, seen, advice, about)


def not_checked(why: str, advice: str = "") -> Diagnosis:
    return Diagnosis(State.NOT_CHECKED, why, advice)


def explained(error: JobmonError, *, about: str = "") -> Diagnosis:
    """An error of ours as a diagnosis: what comes after its last semicolon says what to do."""
    seen, _, advice = str(error).rpartition("; ")
    return wrong(seen or advice, advice if seen else "correct that", about=about)


def reason(error: Exception) -> str:
    """Any error in one line, without secrets: the server's own words, or the kind and first line of another."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        return fit(one_line(error.diag.message_primary + hint), _LONGEST_REASON)
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    if not isinstance(error, (JobmonError, psycopg.Error)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return fit(one_line(text), _LONGEST_REASON)


def quoted(name: str) -> str:
    """A name as SQL takes it, for statements that somebody pastes."""
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    shown = list(names)
    text = ", ".join(shown[:most])
    return f"{text} and {len(shown) - most} more" if len(shown) > most else text
