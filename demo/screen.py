"""What the demo prints: a line for each step with the seconds since the start, and a table at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Sequence

_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "title": "1;36"}


class Screen:
    """Writes to stdout; a terminal or pipe that has gone away never keeps the demo from cleaning up."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def styled(self, text: str, style: str) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self._colour else text

    def step(self, text: str, style: str | None = None) -> None:
        stamp = self.styled(f"{self.elapsed:6.1f} s", "dim")
        self.line(f"{stamp}  {self.styled(text, style) if style else text}")

    def title(self, text: str) -> None:
        self.line()
        self.step(text, "title")

    def line(self, text: str = "") -> None:
        with contextlib.suppress(OSError, ValueError):
            print(text, flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, good: Sequence[bool]) -> None:
        """Columns as wide as their widest cell; a row that is not good is red."""
        widths = [max(_width(row[column]) for row in [header, *rows]) for column in range(len(header))]

        def laid_out(row: Sequence[str]) -> str:
            cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
            return "  ".join(cells).rstrip()

        self.line(self.styled(laid_out(header), "bold"))
        self.line("  ".join("-" * width for width in widths))
        for row, fine in zip(rows, good, strict=True):
            self.line(laid_out(row) if fine else self.styled(laid_out(row), "bad"))


def _width(text: str) -> int:
    """Columns in a terminal: an emoji takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
