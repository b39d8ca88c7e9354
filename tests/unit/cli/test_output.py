from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.cli.output import CommandResult, print_result, printable

HOSTILE = "a\x1b[31mred\x9b2J\r\n[link=http://evil]\u202ecba\u2028"


def printed(result: CommandResult, form: str) -> str:
    stream = io.StringIO()
    print_result(result, form, stream)
    return stream.getvalue()


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text):
    assert printable(text).isprintable()


@pytest.mark.parametrize("form", ["table", "plain"])
def test_a_hostile_name_is_shown_as_escapes(form):
    shown = printed(CommandResult([{"job_name": HOSTILE}]), form)
    assert "\\x1b[31mred\\x9b2J\\r\\n[link=http://evil]" in shown
    assert "\\u202ecba\\u2028" in shown
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(shown)


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_keep_every_value(form, read):
    row = {
        "job_name": HOSTILE,
        "rate": 96.66666,
        "count": 3,
        "none": None,
        "at": datetime(2025, 11, 13, 2, 5, tzinfo=UTC),
    }
    shown = printed(CommandResult([row]), form)
    assert read(shown) == [{**row, "at": "2025-11-13T02:05:00Z"}]
    assert shown.isascii()


@pytest.mark.parametrize(
    ("form", "expected"), [("json", "[]\n"), ("yaml", "[]\n"), ("table", ""), ("plain", "")], ids=str
)
def test_no_rows_print_nothing_that_a_script_could_read_as_a_row(form, expected, capsys):
    assert printed(CommandResult(note="no alerts"), form) == expected
    assert capsys.readouterr().err == "no alerts\n"


def test_a_long_cell_is_cut_in_a_table_but_not_in_json():
    result = CommandResult([{"last_error": "x" * 1000}])
    assert "x" * 159 + "…" in printed(result, "plain")
    assert json.loads(printed(result, "json")) == [{"last_error": "x" * 1000}]


def test_numbers_in_a_plain_table_are_not_reformatted():
    assert printed(CommandResult([{"job_name": "007", "rate": 96.66}]), "plain").split() == [
        "job_name",
        "rate",
        "007",
        "96.7",
    ]
