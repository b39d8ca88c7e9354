"""Silences: while one is in force, the alerts of its jobs are recorded and not sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from airflow_jobmon.core.times import to_the_second

_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_", "*": "%", "?": "_"})


@dataclass(frozen=True, slots=True)
class Silence:
    """In force until `ends_at`, for every job whose name `name` matches."""

    name: str
    ends_at: datetime
    reason: str
    silenced_by: str

    def __str__(self) -> str:
        return f"silenced until {to_the_second(self.ends_at)} by {self.silenced_by}: {self.reason}"


def matches(glob: str, job_name: str) -> bool:
    """Whether `glob` matches this job: `*` is any characters or none, `?` is one, all else is literal, with its case.

    A job whose own name contains a `*` is matched by that name, among others.
    """
    return fnmatchcase(job_name, glob.replace("[", "[[]"))  # no sets of characters: a name may hold brackets


def like_pattern(glob: str) -> str:
    """The same glob as a pattern for SQL's LIKE."""
    return glob.translate(_LIKE)


def in_force(silences: Iterable[Silence], job_name: str, now: datetime) -> Silence | None:
    """The silence over this job that ends last, or None. A silence is over at `ends_at` itself."""
    found = [silence for silence in silences if now < silence.ends_at and matches(silence.name, job_name)]
    return max(found, key=lambda silence: silence.ends_at, default=None)
