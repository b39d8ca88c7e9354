"""The runbook has a section for each kind of alert, and alerts lead there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_jobmon.core.model.health import Kind
from airflow_jobmon.core.model.runbook import SECTIONS, runbook_section

RUNBOOK = (Path(__file__).parents[4] / "docs" / "runbook.md").read_text()
ANCHORS = set(re.findall(r'<a id="([a-z-]+)"></a>\n\n## ', RUNBOOK))


@pytest.mark.parametrize("kind", [*Kind, "undelivered"])
def test_every_kind_links_to_an_existing_section(kind):
    url = runbook_section("https://airflow.example.com", str(kind))
    assert url is not None
    assert url.startswith("https://airflow.example.com/jobmon/runbook#")
    assert url.partition("#")[2] in ANCHORS


def test_the_copy_that_airflow_shows_is_the_same():
    packaged = Path(__file__).parents[4] / "airflow_jobmon" / "web" / "page" / "runbook.md"
    assert packaged.read_text() == RUNBOOK, "cp docs/runbook.md airflow_jobmon/web/page/"


def test_every_section_is_named_in_the_table_at_the_top():
    assert set(re.findall(r"\]\(#([a-z-]+)\)", RUNBOOK.split('<a id="failed">')[0])) == ANCHORS


def test_every_internal_link_has_a_target():
    assert set(re.findall(r"\]\(#([a-z-]+)\)", RUNBOOK)) <= ANCHORS


def test_without_the_url_of_airflow_there_is_no_link():
    assert runbook_section(None, "failed") is None


def test_the_sections_are_those_of_the_runbook():
    assert set(SECTIONS.values()) <= ANCHORS
