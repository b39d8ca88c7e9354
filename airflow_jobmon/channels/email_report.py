"""A report as an email: an HTML part with everything inline, and a self-contained text part."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from airflow_jobmon.channels.email_message import EmailContent, html_template, safe_subject, tone_of
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.rendering.messages import is_link
from airflow_jobmon.core.rendering.report_text import buttons, report_text, report_title
from airflow_jobmon.core.text import fit, one_line

_BYTES = 70_000
"""Bytes that the rows of all tables may use: Gmail cuts a message at 102 kB."""

_CELL = 300
_MOST_ROWS = 200
_ROW_MARKUP = 90
"""Bytes of markup around one cell."""

Row = tuple[str | None, list[str]]
"""The link of the first cell, and the cells."""


def report_email(report: Report) -> EmailContent:
    title = report_title(report, 200)
    context = {
        "title": title,
        "tone": tone_of(title.partition(" ")[0]),
        "summary": fit(one_line(report.summary), 1_500),
        "sections": list(_sections(report)),
        "buttons": buttons(report),
        "at": report.at,
    }
    html = html_template("email_report.html.jinja").render(**context)
    return EmailContent(safe_subject(report_title(report, 180)), html, report_text(report, most_rows=_MOST_ROWS))


def _sections(report: Report) -> Iterator[dict[str, object]]:
    room = _BYTES
    for section in report.sections:
        lines = [fit(one_line(line), 600) for line in section.lines[:_MOST_ROWS]]
        room -= sum(len(escape(line).encode()) for line in lines)
        rows = _rows(section.table, room) if section.table else []
        room -= sum(_size(row) for row in rows)
        yield {
            "heading": fit(one_line(section.heading), 200),
            "lines": lines,
            "more_lines": len(section.lines) - len(lines),
            "columns": _columns(section),
            "rows": rows,
            "more_rows": len(section.table.rows) - len(rows) if section.table else 0,
        }


def _columns(section: Section) -> list[tuple[str, str]]:
    """Each column's name and alignment."""
    if section.table is None or not section.table.rows:
        return []
    numbers = section.table.numbers
    return [(name, "right" if place in numbers else "left") for place, name in enumerate(section.table.columns)]


def _rows(table: Table, room: int) -> list[Row]:
    """As many rows as fit."""
    rows: list[Row] = []
    for number, cells in enumerate(table.rows[:_MOST_ROWS]):
        link = table.link(number)
        row: Row = (
            link if link is not None and is_link(link) else None,
            [fit(one_line(text, 4 * _CELL), _CELL) for text in cells],
        )
        room -= _size(row)
        if room < 0 and rows:
            break
        rows.append(row)
    return rows


def _size(row: Row) -> int:
    link, cells = row
    return len(link or "") + sum(len(escape(text).encode("utf-8", "replace")) + _ROW_MARKUP for text in cells)
