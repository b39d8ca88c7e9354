"""Alerts in Slack's Block Kit; the same for an incoming webhook and for chat.postMessage.

Slack's limits: 50 blocks, 150 characters in a header, 3,000 in a section, 2,000 in a field, 10 fields in a section,
3,000 in a button's URL. Not documented, but enforced: about 12,000 characters over all blocks
(`msg_blocks_too_long`); messages stay well below. Characters count after escaping, so that no entity is ever cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.rendering import messages
from airflow_jobmon.core.text import fit

_HEADER = 150
_FIELD = 400
_SHORT_ERROR = 200
_WHOLE_ERROR = 2_700
_SECTION = 2_900
_LINES = 9_500
"""Characters that the lines of a batch may use, line ends included."""

_ALIKE = 3
"""From this many jobs on, the text that they share appears once, above their names."""

_MIN_STATEMENT = 16
"""Characters that a long name leaves on its line for the statement."""

_MOST_LINES = 400

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BROADCAST = re.compile(r"@(?=here|channel|everyone|group)", re.IGNORECASE)

Json = dict[str, Any]


def slack_message(alerts: Sequence[Alert]) -> Json:
    """`text` (the fallback that notifications show) and `blocks`; nothing in them mentions, links or unfurls."""
    return {
        "text": _fallback(alerts),
        "blocks": _blocks(alerts[0]) if len(alerts) == 1 else _batch_blocks(alerts),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str, limit: int) -> str:
    """Slack markup that shows `text` literally, in at most `limit` characters: no mention, no link, no broadcast.

    The @ of `@here` becomes a full-width one, since old webhooks resolve names in plain text too. A run of backticks
    cannot end the code block around it.
    """
    text = _BROADCAST.sub("\uff20", text).replace("```", "'''")
    return "".join(_ENTITIES.get(char, char) for char in fit(text, limit, _size))


def escaped_length(text: str) -> int:
    """Characters that `escaped` text uses, as Slack counts them."""
    return sum(_size(char) for char in text)


def _size(char: str) -> int:
    return len(_ENTITIES.get(char, char)) + (char > "\uffff")


def header(title: str) -> Json:
    return {"type": "header", "text": plain(title, _HEADER)}


def section(markup: str) -> Json:
    """A block of markup that is already escaped."""
    return {"type": "section", "text": _mrkdwn(markup)}


def plain(text: str, limit: int) -> Json:
    """A plain_text object; Slack parses nothing in it, but angle brackets still become look-alikes."""
    text = _BROADCAST.sub("\uff20", text).replace("<", "\u2039").replace(">", "\u203a")
    return {"type": "plain_text", "text": fit(text, limit), "emoji": True}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _blocks(alert: Alert) -> list[Json]:
    error = messages.error_of(alert)
    short = fit(messages.gist_of(error), _SHORT_ERROR)
    rows = [("Job Name", messages.name_of(alert))]
    if error:
        rows.append(("Error", short))
    rows += [("Time", messages.moment(alert.at)), *messages.facts_of(alert)]

    blocks: list[Json] = [header(messages.title([alert], _HEADER))]
    statement = messages.statement(alert)
    if statement:
        blocks.append(section(escaped(statement, 1_000)))
    fields = [_mrkdwn(f"*{escaped(label, 60)}*\n{escaped(value, _FIELD)}") for label, value in rows]
    blocks += [{"type": "section", "fields": fields[start : start + 10]} for start in range(0, len(fields), 10)]
    if short != error:
        blocks.append(section(f"```\n{escaped(error, _WHOLE_ERROR)}\n```"))
    if buttons := _buttons(alert):
        blocks.append({"type": "actions", "elements": buttons})
    return blocks


def _buttons(alert: Alert) -> list[Json]:
    return [
        {
            "type": "button",
            "action_id": label.lower().replace(" ", "_"),
            "text": {"type": "plain_text", "text": label},
            "url": url,
        }
        for label, url in messages.links_of(alert)
    ]


def _length(text: str) -> int:
    """Characters as Slack counts them, in UTF-16: an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def _batch_blocks(alerts: Sequence[Alert]) -> list[Json]:
    lines, jobs = messages.batch_lines(alerts, _MOST_LINES)
    required = min(len(lines), messages.LEAST_LINES)
    width = min(_LINES // required, 300) - 1
    texts: list[str] = []
    used = named = 0
    for text, is_job in _batch_lines(lines, width):
        used += _length(text) + 1
        if named >= required and used > _LINES:  # short names leave room for more lines than required
            break
        texts.append(text)
        named += is_job
    if more := jobs - named:
        texts.append(f"_and {more} more_")
    return [header(messages.title(alerts, _HEADER)), *(section(text) for text in _sections(texts))]


def _batch_lines(lines: Sequence[messages.BatchLine], width: int) -> Iterator[tuple[str, bool]]:
    """Each line of a batch, and whether it is a job's; at most `width` on average.

    Text that several jobs share, as in an outage, appears once, in full, above their names.
    """
    alike: dict[str, list[messages.BatchLine]] = {}
    for line in lines:
        alike.setdefault(line.text, []).append(line)
    for said, group in alike.items():
        if len(group) < _ALIKE:
            yield from ((_line(line, width), True) for line in group)
            continue
        heading = f"{escaped(said, min(300, width // 3 * len(group)))}:"
        yield heading, False
        room = width - -(-(_length(heading) + 1) // len(group))
        for line in group:
            yield f"{line.mark} *{escaped(line.name, room - _length(line.mark) - 3)}*", True


def _line(line: messages.BatchLine, width: int) -> str:
    """`🚨 *name* - what happened`, in at most `width`; the name takes precedence, since it says where to look."""
    room = width - _length(line.mark) - 6
    name = escaped(line.name, room - min(_length(line.text), _MIN_STATEMENT))
    return f"{line.mark} *{name}* - {escaped(line.text, room - _length(name))}"


def _sections(texts: Sequence[str]) -> list[str]:
    sections: list[str] = []
    current = ""
    for text in texts:
        if current and _length(current) + _length(text) + 1 > _SECTION:
            sections.append(current)
            current = ""
        current = f"{current}\n{text}" if current else text
    return [*sections, current]


def _fallback(alerts: Sequence[Alert]) -> str:
    """The text on a phone's lock screen: the title, then the error and the time, or the first lines of a batch."""
    lines = [escaped(messages.title(alerts, 300), 600)]
    if len(alerts) == 1:
        alert = alerts[0]
        error = messages.error_of(alert)
        lines.append(
            f"Error: {escaped(messages.gist_of(error), 1_000)}" if error else escaped(messages.statement(alert), 1_000)
        )
        lines.append(f"Time: {messages.moment(alert.at)}")
    else:
        first, _ = messages.batch_lines(alerts, 20)
        lines += [escaped(f"{line.mark} {line.name} - {line.text}", 100) for line in first]
    return "\n".join(lines)
