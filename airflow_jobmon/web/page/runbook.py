"""The runbook as a page in Airflow, to which alerts link: the same text as docs/runbook.md."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

from airflow_jobmon.web.page.rendering import render

_ELSEWHERE = re.compile(r'<a href="[\w-]+\.md">(.*?)</a>')
"""Links to other pages of the documentation, which this app does not serve."""


def runbook_page() -> HTMLResponse:
    return render("runbook", content=_content())


@cache
def _content() -> str:
    """Rendered once; our own text, so it may hold markup."""
    text = (files("airflow_jobmon.web.page") / "runbook.md").read_text(encoding="utf-8")
    return _ELSEWHERE.sub(r"\1", MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
