"""Rows are read by the names of their columns, whatever the order of these."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
import pytest

from airflow_jobmon.postgres.rows import tuple_row


class Point(NamedTuple):
    x: int
    y: int
    label: str = "none"


def test_columns_are_matched_by_name(conn):
    cursor = conn.cursor(row_factory=tuple_row(Point))
    assert cursor.execute("SELECT 'a' AS label, 2 AS y, 3 AS unused, 1 AS x").fetchall() == [Point(1, 2, "a")]


def test_a_field_with_a_default_needs_no_column(conn):
    assert conn.cursor(row_factory=tuple_row(Point)).execute("SELECT 2 AS y, 1 AS x").fetchone() == Point(1, 2)


def test_a_missing_column_is_named(conn):
    cursor = conn.cursor(row_factory=tuple_row(Point))
    with pytest.raises(psycopg.ProgrammingError, match="no column y, which Point reads"):
        cursor.execute("SELECT 1 AS x").fetchone()


def test_a_statement_without_rows_is_not_an_error(conn):
    conn.cursor(row_factory=tuple_row(Point)).execute("SET LOCAL statement_timeout = 0")
