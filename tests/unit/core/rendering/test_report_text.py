"""Reports as plain text: aligned columns, cut tables, and trends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.report import Table
from airflow_jobmon.core.rendering.report_text import report_text, sparkline, table_lines, width
from tests.support.hostile_alerts import long_texts, texts
from tests.support.sample_reports import a_report, reports


def test_a_report_stands_alone_as_text():
    assert report_text(a_report(jobs=2)) == (
        "🚨 Morning check: 1 of 3 jobs needs a person\n\n"
        "One job failed in the last 24 hours, all others are well.\n\n"
        "Failed\n------\njob-0: Connection timeout after 3 retries\n\n"
        "All jobs\n--------\n"
        "job    success  trend\n"
        "job-0  100.0 %  ▁▂▃▅▇\n"
        "job-1   99.0 %  ▁▂▃▅▇\n\n"
        "Open the page: https://airflow.example.com/jobmon/\n"
    )


def test_rows_beyond_the_most_are_counted():
    text = report_text(a_report(jobs=12), most_rows=10)
    assert "job-9" in text
    assert "job-10" not in text
    assert "and 2 more" in text


@given(st.lists(st.tuples(long_texts, texts), min_size=1, max_size=5))
def test_columns_line_up_whatever_is_in_them(rows):
    lines = table_lines(Table(("name", "value"), rows, frozenset({1})))
    assert len(lines) == len(rows) + 1
    assert len({width(line) for line in lines if line}) <= 1 or all(width(line) <= 82 for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("🚨", 2), ("e\u0301", 1), ("▁▂▃", 3), ("", 0)])
def test_width_counts_columns_of_a_fixed_width_font(text, columns):
    assert width(text) == columns


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█", id="rising"),
        pytest.param([5, None, 0], "█·▁", id="a day without a run"),
        pytest.param([14, 14.5, 13], "██▇", id="hardly a change"),
        pytest.param([3, 3, 3], "███", id="all alike"),
        pytest.param([0, 0], "▁▁", id="nothing but zero"),
        pytest.param([-2, 4], "▁█", id="below zero"),
        pytest.param([None, None], "··", id="nothing known"),
        pytest.param([], "", id="nothing asked"),
    ],
)
def test_a_trend_is_drawn_from_zero_to_its_highest(values, drawn):
    assert sparkline(values) == drawn


def test_a_rate_is_drawn_relative_to_100_percent():
    assert sparkline([100, 50, 100, 0], top=100) == "█▅█▁"
    assert sparkline([50, 50], top=100) == "▅▅"


@given(reports)
def test_nothing_in_a_report_moves_a_cursor_or_hides(report):
    assert all(line.isprintable() for line in report_text(report).split("\n"))
