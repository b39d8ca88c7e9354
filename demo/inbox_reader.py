"""Which alert a message in the inbox is: its title, and whether it is the one that was waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SINKS = {"slack": "Slack", "email": "email"}


@dataclass(frozen=True, slots=True)
class Expected:
    """One alert as people see it: `Job Failed`, of this job, opened or resolved."""

    job_name: str
    words: str
    resolved: bool = False

    def __str__(self) -> str:
        return f"{'Resolved: ' if self.resolved else ''}{self.words}"

    def is_met_by(self, message: dict[str, Any]) -> bool:
        title = title_of(message)
        return self.job_name in title and self.words in title and ("resolved" in title.lower()) is self.resolved


def title_of(message: dict[str, Any]) -> str:
    """A Slack message's first line, an email's subject."""
    if message["sink"] == "email":
        return str(message["subject"])
    return (str(message["payload"].get("text") or "").splitlines() or [""])[0]
