"""The README's links lead somewhere, and its table of states is that of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_life_of_an_incident_is_told_alike():
    rows = re.findall(
        r"^\| (?:it is|none|recorded|told|acknowledged|silenced) \|.*$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 10
    assert "\n".join([rows[0], "|---|---|---|---|---|", *rows[1:]]) in (ROOT / "docs" / "incidents.md").read_text()
