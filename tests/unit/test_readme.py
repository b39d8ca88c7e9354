"""The links of the README and the documentation lead somewhere, and the files that CONTRIBUTING names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_links_to_the_life_cycle_of_an_incident():
    life_cycle = re.findall(
        r"^\| (?:state|none|recorded|notified|acknowledged|silenced) \|.*$",
        (ROOT / "docs" / "incidents.md").read_text(),
        re.MULTILINE,
    )
    assert len(life_cycle) > 10
    readme = (ROOT / "README.md").read_text()
    assert "](docs/incidents.md#life-cycle)" in readme
    assert [row for row in life_cycle if row in readme] == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings, and those written out."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_to_a_section_names_an_existing_heading(page):
    targets = re.findall(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    sections = [(page.parent / file if file else page, anchor) for file, anchor in targets]
    assert [f"{file}#{anchor}" for file, anchor in sections if anchor not in anchors(file)] == []


def test_every_file_named_in_contributing_exists():
    named = re.findall(r"`((?:[a-z_]+/)+\w+\.(?:py|sql|md))`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 30
    assert [path for path in named if not ((ROOT / path).exists() or (ROOT / "airflow_jobmon" / path).exists())] == []
