"""The result of a command, and how it is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TextIO

from airflow_jobmon.core.times import iso

MAX_CELL = 160
"""Characters that a table cell shows, unless the command sets another limit; json and yaml show all."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command prints, and its exit code.

    rows: for table and plain, and for json and yaml unless there is a `value`. text: printed as it is, instead of
    both. note: printed to stderr, such as what an empty table means. max_cell: characters that a table cell shows.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    value: Any = None
    text: str | None = None
    note: str | None = None
    exit_code: int = 0
    max_cell: int = MAX_CELL


def print_result(result: CommandResult, form: str, stream: TextIO) -> None:
    """Print in one of Airflow's own formats: json, yaml, table or plain."""
    if result.note:
        print(printable(result.note), file=sys.stderr)
    if result.text is not None:
        stream.write(result.text)
    elif form == "json":
        print(json.dumps(_native(_value(result))), file=stream)
    elif form == "yaml":
        import yaml  # noqa: PLC0415

        yaml.safe_dump(_native(_value(result)), stream, sort_keys=False)
    elif result.rows and form == "plain":
        from tabulate import tabulate  # noqa: PLC0415

        cells = [[_cell(value, result.max_cell) for value in row.values()] for row in result.rows]
        print(tabulate(cells, headers=list(result.rows[0]), tablefmt="plain", disable_numparse=True), file=stream)
    elif result.rows:
        _print_table(result, stream)
    stream.flush()


def printable(text: str) -> str:
    """Text as one line; characters that could move the cursor, or color, hide or reorder text, are shown as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _print_table(result: CommandResult, stream: TextIO) -> None:
    from airflow.cli.simple_table import AirflowConsole, SimpleTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = SimpleTable(show_header=True)
    for column in result.rows[0]:
        table.add_column(column, overflow="fold")
    for row in result.rows:
        # Text, not str: rich would read [red] or [link=...] in a job's name as markup.
        table.add_row(*(Text(_cell(value, result.max_cell)) for value in row.values()))
    AirflowConsole(file=stream).print(table)


def _value(result: CommandResult) -> Any:
    return list(result.rows) if result.value is None else result.value


def _native(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _native(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_native(inner) for inner in value]
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else value


def _cell(value: Any, max_cell: int) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return iso(value.replace(microsecond=0))
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, (list, tuple)):
        return _cell(", ".join(str(item) for item in value), max_cell)
    text = printable(str(value))
    return text if len(text) <= max_cell else text[: max_cell - 1] + "…"
