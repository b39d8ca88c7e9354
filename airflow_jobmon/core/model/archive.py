"""What an archive run moves, and its report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import format_duration, iso, parse_duration, roughly, to_the_second
from airflow_jobmon.errors import ConfigurationError

YOUNGEST = timedelta(days=1)
"""Younger runs are never archived: they are recent."""

YOUNGEST_EXPORTED = timedelta(days=3)
"""Younger runs never leave the database: the counts of their days are not final yet."""


@dataclass(slots=True)
class ArchiveReport:
    """What was moved or, in a dry run, would be moved.

    to: URI of the folder that runs were exported to, or None for the archive in the database. jobs: runs by job.
    stay: older runs that stay, by reason; in a dry run only. refused: runs that the database refused to move, by its
    message. Times are aware, in UTC.
    """

    before: datetime
    job_name: str | None = None
    dry_run: bool = False
    to: str | None = None
    manifest: str | None = None
    parts: int = 0
    jobs: Counter[str] = field(default_factory=Counter)
    stay: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        return self.jobs.total()

    @property
    def summary(self) -> str:
        """One line for people."""
        moved = f"{counted(self.runs, 'run', ',')} from before {to_the_second(self.before)}"
        if self.dry_run:
            return f"{moved} would be archived"
        took = f" in {roughly(timedelta(seconds=self.seconds))}"
        return f"{moved} archived{took}" + (f", see {self.manifest}" if self.manifest else "")

    def as_json(self, *, most_jobs: int | None = None) -> dict[str, Any]:
        """JSON-native; with `most_jobs`, list only the jobs with the most runs."""
        return {
            "before": iso(self.before),
            "job_name": self.job_name,
            "dry_run": self.dry_run,
            "to": self.to,
            "manifest": self.manifest,
            "parts": self.parts,
            "runs": self.runs,
            "job_count": len(self.jobs),
            "jobs": dict(self.jobs.most_common(most_jobs)),
            "stay": self.stay,
            "refused": dict(self.refused),
            "seconds": round(self.seconds, 3),
        }


def cutoff(older_than: timedelta | str, now: datetime, *, youngest: timedelta = YOUNGEST) -> datetime:
    """The time before which runs count as old; raise ConfigurationError for an age that is invalid or too young."""
    age = parse_duration(older_than) if isinstance(older_than, str) else older_than
    if not isinstance(age, timedelta):
        raise ConfigurationError(f"older_than={age!r:.60} is not a duration; give a timedelta, or text like 90d")
    if age < youngest:
        raise ConfigurationError(
            f"runs older than {format_duration(age)} cannot be archived, since those of the last "
            f"{format_duration(youngest)} are still counted; give {format_duration(youngest)} or more, like 90d"
        )
    try:
        return now - age
    except OverflowError:
        raise ConfigurationError(f"no run is older than {format_duration(age)}; give less, like 90d") from None
