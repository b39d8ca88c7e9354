"""What a command answers, and how it is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TextIO

from airflow_jobmon.core.times import iso

CELL = 160
"""Characters a table cell shows at most, unless the command says otherwise; json and yaml show all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A command's result.

    rows: for table and plain, and for json and yaml too unless `value` says more. text: printed as it is, instead of
    both. note: said on stderr, like what an empty table means. cut: characters a cell of a table shows at most.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    value: Any = None
    text: str | None = None
    note: str | None = None
    exit_code: int = 0
    cut: int = CELL


def print_outcome(outcome: Outcome, form: str, stream: TextIO) -> None:
    """Print in one of Airflow's own formats: json, yaml, table or plain."""
    if outcome.note:
        print(printable(outcome.note), file=sys.stderr)
    if outcome.text is not None:
        stream.write(outcome.text)
    elif form == "json":
        print(json.dumps(_native(_whole(outcome))), file=stream)
    elif form == "yaml":
        import yaml  # noqa: PLC0415

        yaml.safe_dump(_native(_whole(outcome)), stream, sort_keys=False)
    elif outcome.rows and form == "plain":
        from tabulate import tabulate  # noqa: PLC0415

        cells = [[_cell(value, outcome.cut) for value in row.values()] for row in outcome.rows]
        print(tabulate(cells, headers=list(outcome.rows[0]), tablefmt="plain", disable_numparse=True), file=stream)
    elif outcome.rows:
        _print_table(outcome, stream)
    stream.flush()


def printable(text: str) -> str:
    """Text as one harmless line: whatever could move the cursor, colour, hide or reorder it is shown as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _print_table(outcome: Outcome, stream: TextIO) -> None:
    from airflow.cli.simple_table import AirflowConsole, SimpleTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = SimpleTable(show_header=True)
    for column in outcome.rows[0]:
        table.add_column(column, overflow="fold")
    for row in outcome.rows:
        # Text, not str: rich would read [red] or [link=...] in a job's name as markup.
        table.add_row(*(Text(_cell(value, outcome.cut)) for value in row.values()))
    AirflowConsole(file=stream).print(table)


def _whole(outcome: Outcome) -> Any:
    return list(outcome.rows) if outcome.value is None else outcome.value


def _native(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _native(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_native(inner) for inner in value]
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else value


def _cell(value: Any, cut: int) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return iso(value.replace(microsecond=0))
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, (list, tuple)):
        return _cell(", ".join(str(item) for item in value), cut)
    text = printable(str(value))
    return text if len(text) <= cut else text[: cut - 1] + "…"
