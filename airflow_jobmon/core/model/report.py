"""A report for any channel: a title, a summary, sections of lines and tables; all text in it is data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.times import iso

_ROOM = 150_000
"""Characters of JSON for the lists in a report's details, shared evenly among those that are not empty."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, the most urgent rows first, since a channel shows only as many as it has room for.

    numbers: positions of the right-aligned columns. links: for each row the target of its first cell, or None; empty
    where no row has one.
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
    """A report for any channel.

    kind: `daily`, `weekly`, `audit` or `drill`. severity: ok where no one has to act. at: the time that it describes,
    in UTC. summary: one or two sentences that stand alone. links: buttons, as (label, URL). details: the same in
    numbers, JSON-native.
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

    def as_short_json(self) -> dict[str, Any]:
        """JSON of well below 200 kB, which a task returns as its XCom.

        Without the sections and the single days of a job; of each list in the details, as many of the first rows as
        fit. `left_out`: how many more there were, by list.
        """
        lists = {name: rows for name, rows in self.details.items() if isinstance(rows, list) and rows}
        kept = {name: list(_fitting(map(_without_days, rows), _ROOM // len(lists))) for name, rows in lists.items()}
        return {
            **{name: value for name, value in self.as_json().items() if name != "sections"},
            "details": self.details | kept,
            "left_out": {name: left for name, rows in lists.items() if (left := len(rows) - len(kept[name]))},
        }


def _fitting(rows: Iterable[Any], room: int) -> Iterator[Any]:
    for row in rows:
        room -= len(json.dumps(row))
        if room < 0:
            return
        yield row


def _without_days(row: Any) -> Any:
    return {name: value for name, value in row.items() if name != "days"} if isinstance(row, dict) else row


def _section_json(section: Section) -> dict[str, Any]:
    table = section.table
    return {
        "heading": section.heading,
        "lines": list(section.lines),
        "table": None
        if table is None
        else {"columns": list(table.columns), "rows": [list(row) for row in table.rows], "links": list(table.links)},
    }
