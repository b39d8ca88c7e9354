from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.rendering.csv_export import csv_text


def cell(value: object) -> str:
    return csv_text(["a"], [[value]]).removeprefix("a\r\n").removesuffix("\r\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("=1+1", "'=1+1", id="a formula"),
        pytest.param("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0", id="a command"),
        pytest.param("-1+1", "'-1+1", id="a formula that starts like a number"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="an at sign"),
        pytest.param("\t=1", "'\t=1", id="a tab first"),
        pytest.param("\r=1", '"\'\r=1"', id="a carriage return first"),
        pytest.param("\uff1d1+1", "'\uff1d1+1", id="a wide equals sign"),
        pytest.param("-5", "-5", id="a number in text"),
        pytest.param("+4.25", "+4.25", id="a number with a sign"),
        pytest.param(-5, "-5", id="a number"),
        pytest.param(-0.5, "-0.5", id="a fraction"),
        pytest.param("a,b", '"a,b"', id="a comma"),
        pytest.param('say "hi"', '"say ""hi"""', id="quotes"),
        pytest.param("a\nb", '"a\nb"', id="two lines"),
        pytest.param("a=1", "a=1", id="an equals sign inside"),
        pytest.param(True, "true", id="a truth"),
        pytest.param(None, '""', id="nothing"),
        pytest.param(datetime(2025, 11, 13, 2, 5, tzinfo=UTC), "2025-11-13T02:05:00Z", id="a time"),
        pytest.param(date(2025, 11, 13), "2025-11-13", id="a day"),
        pytest.param({"a": 1}, '"{""a"": 1}"', id="an object"),
    ],
)
def test_a_spreadsheet_does_not_run_a_cell(value, written):
    assert cell(value) == written


def test_the_header_stands_alone_where_there_are_no_rows():
    assert csv_text(["job_name", "runs"], []) == "job_name,runs\r\n"


@given(st.lists(st.tuples(st.text(), st.text() | st.integers() | st.none()), max_size=5))
def test_written_rows_are_read_back_except_for_apostrophes(rows):
    written = csv_text(["a", "b"], rows)
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert read[0] == ["a", "b"]
    for (first, second), cells in zip(rows, read[1:], strict=True):
        assert [cells[0].removeprefix("'"), cells[1].removeprefix("'")] == [
            first.removeprefix("'"),
            "" if second is None else str(second).removeprefix("'"),
        ]
        assert not cells[0].startswith(("=", "@", "\t", "\r"))
