"""What is asked of an archive, and what it reports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import format_duration, iso, parse_duration, roughly, to_the_second
from airflow_jobmon.errors import ConfigurationError

YOUNGEST = timedelta(days=1)
"""Nothing younger is archived, whatever is asked for: it is news."""

YOUNGEST_EXPORTED = timedelta(days=3)
"""Nothing younger leaves the database: days are counted for good once they have been over for a while."""


@dataclass(slots=True)
class ArchiveReport:
    """What was moved, or in a dry run would be.

    to: URI of the folder that runs were exported to, or None for the archive in the database. jobs: runs by job.
    stay: older runs that stay, by the reason; in a dry run only. refused: runs that would not go, by what the database
    said. Times are aware, in UTC.
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
        """JSON-native; with `most_jobs` only those with the most runs are listed."""
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
    """The moment that divides old runs from others; raises ConfigurationError for an age that is none or too young."""
    age = parse_duration(older_than) if isinstance(older_than, str) else older_than
    if not isinstance(age, timedelta):
        raise ConfigurationError(f"older_than={age!r:.60} is no duration; give a timedelta, or text like 90d")
    if age < youngest:
        raise ConfigurationError(
            f"runs older than {format_duration(age)} cannot be archived, since those of the last "
            f"{format_duration(youngest)} are still counted; give {format_duration(youngest)} or more, like 90d"
        )
    try:
        return now - age
    except OverflowError:
        raise ConfigurationError(f"no run is older than {format_duration(age)}; give less, like 90d") from None
