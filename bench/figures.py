"""The result of a measurement, and how it is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, the target, and what the peer needs in the same run.

    holds: None where there is no target, only a number to know.
    """

    what: str
    target: str
    measured: str
    peer: str = ""
    ratio: str = ""
    holds: bool | None = None


Measure = Callable[[Callable[[str], None]], Sequence[Figure]]
"""Measures a figure; its argument prints progress."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def milliseconds(seconds: float) -> str:
    """Three digits that mean something."""
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def table(figures: Sequence[Figure]) -> str:
    """Markdown, aligned, so that it can be pasted into the documentation as it is."""
    marks = {True: "yes", False: "**no**", None: ""}
    rows = [("figure", "target", "measured", "peer", "ratio", "holds")]
    rows += [(f.what, f.target, f.measured, f.peer, f.ratio, marks[f.holds]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
