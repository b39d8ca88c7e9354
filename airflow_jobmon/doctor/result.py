"""The result of a check: a state, what the check saw, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import JobmonError

_MAX_ERROR_TEXT = 300
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class CheckState(StrEnum):
    """Worst first."""

    WRONG = "wrong"
    WARNING = "warning"
    OK = "ok"
    NOT_CHECKED = "not checked here"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One result of one check.

    advice: what to do next. about: the object, such as a channel's name, where a check looks at several. check: the
    name of the check, which the runner fills in.
    """

    state: CheckState
    seen: str
    advice: str = ""
    about: str = ""
    check: str = ""


def ok(seen: str, *, about: str = "") -> CheckResult:
    return CheckResult(CheckState.OK, seen, about=about)


def warning(seen: str, advice: str, *, about: str = "") -> CheckResult:
    """Alerts arrive now, but late, or not under all circumstances."""
    return CheckResult(CheckState.WARNING, seen, advice, about)


def wrong(seen: str, advice: str, *, about: str = "") -> CheckResult:
    """Some alerts do not arrive."""
    return CheckResult(CheckState.WRONG, seen, advice, about)


def not_checked(why: str, advice: str = "") -> CheckResult:
    return CheckResult(CheckState.NOT_CHECKED, why, advice)


def from_error(error: JobmonError, *, about: str = "") -> CheckResult:
    """An error of this package as a result: the part after its last semicolon is the advice."""
    seen, _, advice = str(error).rpartition("; ")
    return wrong(seen or advice, advice if seen else "correct that", about=about)


def error_text(error: Exception) -> str:
    """Any error in one line, without secrets: the server's message, or the type and first line of another error."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        return fit(one_line(error.diag.message_primary + hint), _MAX_ERROR_TEXT)
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    if not isinstance(error, (JobmonError, psycopg.Error)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return fit(one_line(text), _MAX_ERROR_TEXT)


def quote_name(name: str) -> str:
    """A name quoted for SQL, in statements to paste."""
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    shown = list(names)
    text = ", ".join(shown[:most])
    return f"{text} and {len(shown) - most} more" if len(shown) > most else text
