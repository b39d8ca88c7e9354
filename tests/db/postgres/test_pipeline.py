"""Transactions in few round trips are still transactions."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction


@pytest.fixture(autouse=True)
def kept(conn: psycopg.Connection) -> None:
    conn.execute("CREATE TABLE public.kept (n integer PRIMARY KEY)")


def run(conn: psycopg.Connection, *statements: str) -> None:
    """All in one transaction, without reading a result."""
    with transaction(conn):
        for statement in statements:
            conn.execute(statement)


def numbers(conn: psycopg.Connection) -> list[int]:
    return [n for (n,) in conn.execute("SELECT n FROM public.kept ORDER BY n")]


@pytest.mark.parametrize("settings", [{}, NOT_DURABLE], ids=["durable", "not durable"])
def test_statements_that_were_sent_together_are_committed_together(conn, settings):
    with transaction(conn, settings):
        results = [conn.execute("INSERT INTO public.kept VALUES (%s) RETURNING n", [n]) for n in (1, 2)]
        assert [result.fetchone() for result in results] == [(1,), (2,)]
        conn.execute("INSERT INTO public.kept VALUES (3)")
    assert numbers(conn) == [1, 2, 3]
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_a_failed_statement_rolls_back_those_before_it_and_skips_those_after_it(conn):
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(conn, *(f"INSERT INTO public.kept VALUES ({n})" for n in (1, 1, 2)))
    assert numbers(conn) == []
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_reading_a_result_raises_the_error_of_an_earlier_statement(conn):
    def read() -> None:
        with transaction(conn):
            conn.execute("INSERT INTO public.kept VALUES (1)")
            conn.execute("SELECT 1 / 0").fetchone()
            pytest.fail("the result could be read")

    with pytest.raises(psycopg.errors.DivisionByZero):
        read()
    assert numbers(conn) == []


def test_an_error_in_the_block_rolls_back(conn):
    def fail() -> None:
        with transaction(conn):
            conn.execute("INSERT INTO public.kept VALUES (1)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numbers(conn) == []
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_leaving_the_block_early_commits(conn):
    def insert() -> int:
        with transaction(conn):
            conn.execute("INSERT INTO public.kept VALUES (1)")
            return 7

    assert insert() == 7
    assert numbers(conn) == [1]


def test_settings_hold_within_the_transaction_only(conn):
    with transaction(conn, NOT_DURABLE | PLANNED_ONCE):
        inside = [conn.execute(f"SHOW {name}").fetchone() for name in ("synchronous_commit", "plan_cache_mode")]
    assert inside == [("off",), ("force_generic_plan",)]
    assert conn.execute("SHOW plan_cache_mode").fetchone() == ("auto",)


def test_a_prepared_statement_of_a_failed_transaction_is_forgotten(conn):
    conn.prepare_threshold = 0
    insert = "INSERT INTO public.kept VALUES (1)"
    with pytest.raises(psycopg.errors.DivisionByZero):
        run(conn, "SELECT 1 / 0", insert)
    run(conn, insert)
    assert numbers(conn) == [1]
