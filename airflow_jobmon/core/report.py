"""A report as every channel can show it: a title, a summary, sections of lines and tables; all text in it is data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_jobmon.core.health import Health
from airflow_jobmon.core.times import iso


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, the rows that need somebody first, since a sink shows as many as it has room for.

    numbers: positions of the columns that are aligned to the right. links: for each row where its first cell leads, or
    None; empty where no row leads anywhere.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    links: Sequence[str | None] = ()

    def link(self, row: int) -> str | None:
        return self.links[row] if row < len(self.links) else None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with lines, a table, or both; lines come first."""

    heading: str
    lines: Sequence[str] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one report says, ready for any channel.

    kind: `daily`, `weekly`, `audit` or `drill`. severity: ok where nobody has to do anything. at: the moment that it
    describes, in UTC. summary: one or two sentences that stand alone. links: buttons, as (label, URL).
    details: the same in numbers, for machines, JSON-native.
    """

    kind: str
    title: str
    severity: Health
    at: datetime
    summary: str
    sections: Sequence[Section] = ()
    links: Sequence[tuple[str, str]] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "title": self.title,
            "severity": self.severity.value,
            "at": iso(self.at),
            "summary": self.summary,
            "sections": [_section_json(section) for section in self.sections],
            "links": [list(link) for link in self.links],
            "details": self.details,
        }


def _section_json(section: Section) -> dict[str, Any]:
    table = section.table
    return {
        "heading": section.heading,
        "lines": list(section.lines),
        "table": None
        if table is None
        else {"columns": list(table.columns), "rows": [list(row) for row in table.rows], "links": list(table.links)},
    }
