"""A report in Slack's Block Kit: tables as fixed-width code, cut to what one message may hold."""

from __future__ import annotations

from typing import Any

from airflow_jobmon.channels.slack_message import escaped, escaped_length, header, plain, section
from airflow_jobmon.core.model.report import Report, Section, Table
from airflow_jobmon.core.rendering.report_text import buttons, report_title, table_lines
from airflow_jobmon.core.text import one_line

_HEADER = 150
_BLOCK = 2_900
_ALL = 10_500
"""Characters over all blocks: Slack refuses a message somewhere above 12,000."""

_MOST_SECTIONS = 20

Json = dict[str, Any]


def slack_report(report: Report) -> Json:
    """`text` (the fallback that notifications show) and `blocks`; nothing in them mentions, links or unfurls."""
    title = report_title(report, _HEADER)
    summary = escaped(one_line(report.summary), 1_000)
    blocks = [header(title), *([section(summary)] if summary else [])]
    room = _ALL - 2_000
    for number, part in enumerate(report.sections[:_MOST_SECTIONS]):
        share = room // (min(len(report.sections), _MOST_SECTIONS) - number)
        for text in _texts(part, share):
            blocks.append(section(text))
            room -= len(text)
    if elements := _buttons(report):
        blocks.append({"type": "actions", "elements": elements})
    return {
        "text": f"{escaped(title, 600)}\n{summary}",
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _texts(part: Section, share: int) -> list[str]:
    """A section's blocks, in at most `share` characters together (its heading always fits)."""
    lines = [f"*{escaped(one_line(part.heading), 200)}*"]
    used = len(lines[0])
    shown = 0
    for line in part.lines:
        text = escaped(one_line(line), 400)
        if used + len(text) > min(share, _BLOCK) - 40:
            break
        lines.append(text)
        used += len(text) + 1
        shown += 1
    if more := len(part.lines) - shown:
        lines.append(f"_and {more} more_")
    texts = ["\n".join(lines)]
    if part.table is not None and part.table.rows:
        texts += _table(part.table, share - used)
    return texts


def _table(table: Table, share: int) -> list[str]:
    """The table in code blocks, with as many rows as fit in `share` characters."""
    head, *rows = table_lines(table)
    blocks: list[str] = []
    current = [head]
    used = total = escaped_length(head)
    shown = 0
    for row in rows:
        length = escaped_length(row) + 1
        if total + length > share - 40 and shown:
            break
        if used + length > _BLOCK - 20:
            blocks.append(_code(current))
            current, used = [], 0
        current.append(row)
        used, total, shown = used + length, total + length, shown + 1
    blocks.append(_code(current))
    if more := len(rows) - shown:
        blocks[-1] += f"\n_and {more} more_"
    return blocks


def _code(lines: list[str]) -> str:
    return "```\n" + "\n".join(escaped(line, _BLOCK) for line in lines) + "\n```"


def _buttons(report: Report) -> list[Json]:
    return [
        {
            "type": "button",
            "action_id": f"report_link_{number}",
            "text": plain(label, 75),
            "url": url,
        }
        for number, (label, url) in enumerate(buttons(report))
    ]
