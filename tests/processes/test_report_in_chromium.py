"""A report's email on a phone."""

from __future__ import annotations

from airflow_jobmon.channels.email_report import report_email
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.report import Report, Section, Table
from tests.support.chromium import chromium
from tests.support.sample_reports import a_report


def test_a_wide_table_scrolls_and_the_page_does_not(tmp_path):
    columns = tuple(f"column {number}" for number in range(12))
    wide = Section("All", ("x" * 300,), Table(columns, [("job",) * 12], frozenset(range(1, 12))))
    report = Report("weekly", "Weekly review", Health.WARNING, a_report().at, "All is well.", (wide,))
    page = tmp_path / "mail.html"
    page.write_text(report_email(report).html)
    with chromium(tmp_path) as tab:
        tab.size(390, 844, phone=True)
        tab.open(page.as_uri())
        assert tab.see("document.documentElement.scrollWidth") == 390
        assert tab.see("document.querySelector('div').scrollWidth > document.querySelector('div').clientWidth")
