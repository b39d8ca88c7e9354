"""Every command shown in the documentation is a valid command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_COMMAND = re.compile(r"airflow jobmon ((?:[^`\n|&;>#()]|\\\n)+)")
_BLOCK = re.compile(r"^ {4,}(?:\$ |export \S+; )?(airflow jobmon [^\n]*)$|`(airflow jobmon [^`]+)`", re.MULTILINE)


def commands(text: str) -> list[str]:
    """Commands in code, each up to a pipe, a comment or a redirection; two blanks end a command in a column."""
    found = []
    for block, inline in _BLOCK.findall(text.replace("\\\n", " ")):
        for command in _COMMAND.findall(block or inline):
            typed = re.split(r"\s{2,}", command.strip())[0].strip()
            if typed and not re.search(r"COMMAND|\.\.\.|…|\[|\{", typed):
                found.append(typed)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_shown_can_be_parsed(parser, capsys, page):
    for typed in commands(page.read_text()):
        words = shlex.split(typed)
        if all(re.fullmatch(r"[a-z-]+", word) for word in words) and len(words) <= 2:  # a command's name only
            continue
        try:
            parser.parse_args(["jobmon", *words])
        except SystemExit:
            pytest.fail(f"{page.name}: airflow jobmon {typed}\n{capsys.readouterr().err[-300:]}")


def test_commands_are_found_at_all():
    assert sum(len(commands(page.read_text())) for page in PAGES) > 60
