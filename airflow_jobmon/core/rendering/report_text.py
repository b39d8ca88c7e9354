"""A report as plain text; its tables are aligned by the width of each character in a fixed-width font."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.rendering.messages import CRITICAL_MARK, GOOD_MARK, WARNING_MARK, is_link
from airflow_jobmon.core.text import fit, one_line

_CELL = 40
"""The greatest width of a table cell, in columns."""

_MOST_BUTTONS = 5

_MARKS = {Health.OK: GOOD_MARK, Health.WARNING: WARNING_MARK, Health.CRITICAL: CRITICAL_MARK, Health.UNKNOWN: "❔"}


def report_title(report: Report, limit: int) -> str:
    """The title, with the mark of its severity in front."""
    return fit(f"{_MARKS[report.severity]} {one_line(report.title)}", limit)


def buttons(report: Report) -> list[tuple[str, str]]:
    """(label, URL) of the valid links, at most five."""
    usable = [(fit(one_line(label), 70) or "Open", url) for label, url in report.links if is_link(url)]
    return usable[:_MOST_BUTTONS]


def report_text(report: Report, *, most_rows: int = 1000) -> str:
    """The whole report, each table cut to `most_rows`."""
    parts = [report_title(report, 200), fit(one_line(report.summary), 1000)]
    parts += [_section(section, most_rows) for section in report.sections]
    parts.append("\n".join(f"{label}: {url}" for label, url in buttons(report)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, most_rows: int) -> str:
    heading = one_line(section.heading)
    lines = [heading, "-" * min(width(heading), 78), *(fit(one_line(line), 500) for line in section.lines)]
    if section.table is not None:
        shown = table_lines(section.table)
        lines += shown[: most_rows + 1]
        if more := len(shown) - 1 - most_rows:
            lines += [f"and {more} more"] if more > 0 else []
    return "\n".join(lines)


def table_lines(table: Table) -> list[str]:
    """The header and one line per row, in columns; a cell is at most 40 wide."""
    cells = [[_cell(text) for text in row] for row in (table.columns, *table.rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(table.columns))]
    return [_line(row, widths, table.numbers) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> str:
    padded = []
    for column, text in enumerate(row):
        blank = " " * (widths[column] - width(text))
        padded.append(blank + text if column in numbers else text + blank)
    return "  ".join(padded).rstrip()


def _cell(text: str) -> str:
    return fit(one_line(text), _CELL, lambda char: max(width(char), 0))


def width(text: str) -> int:
    """Columns of `text` in a fixed-width font: two for an emoji or an East Asian letter, none for an accent."""
    return sum(
        0
        if unicodedata.combining(char) or char in "\ufe0e\ufe0f"
        else 2
        if unicodedata.east_asian_width(char) in {"W", "F"}
        else 1
        for char in text
    )


def sparkline(values: Sequence[float | None], *, top: float | None = None) -> str:
    """A trend drawn in text, one character per value, from zero to `top` (default: the highest); a gap is a dot.

    It starts at zero, so that values that hardly change look level.
    """
    full = top if top is not None else max((value for value in values if value is not None), default=0.0)
    return "".join("·" if value is None else _step(value / full if full > 0 else 0.0) for value in values)


def _step(share: float) -> str:
    return "▁▂▃▄▅▆▇█"[round(min(max(share, 0.0), 1.0) * 7)]
