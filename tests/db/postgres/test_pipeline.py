"""Transactions that cross the wire seldom are transactions all the same."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from airflow_jobmon.postgres.pipeline import NOT_DURABLE, PLANNED_ONCE, transaction


@pytest.fixture(autouse=True)
def kept(conn: psycopg.Connection) -> None:
    conn.execute("CREATE TABLE public.kept (n integer PRIMARY KEY)")


def run(conn: psycopg.Connection, *statements: str) -> None:
    """All in one transaction, without looking at what comes back."""
    with transaction(conn):
        for statement in statements:
            conn.execute(statement)


def numbers(conn: psycopg.Connection) -> list[int]:
    return [n for (n,) in conn.execute("SELECT n FROM public.kept ORDER BY n")]


@pytest.mark.parametrize("settings", [{}, NOT_DURABLE], ids=["durable", "not durable"])
def test_what_was_sent_together_is_committed_together(conn, settings):
    with transaction(conn, settings):
        answers = [conn.execute("INSERT INTO public.kept VALUES (%s) RETURNING n", [n]) for n in (1, 2)]
        assert [answer.fetchone() for answer in answers] == [(1,), (2,)]
        conn.execute("INSERT INTO public.kept VALUES (3)")
    assert numbers(conn) == [1, 2, 3]
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_a_failed_statement_keeps_those_before_and_after_it_from_happening(conn):
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(conn, *(f"INSERT INTO public.kept VALUES ({n})" for n in (1, 1, 2)))
    assert numbers(conn) == []
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_a_failed_statement_is_heard_of_where_a_result_is_read(conn):
    def read() -> None:
        with transaction(conn):
            conn.execute("INSERT INTO public.kept VALUES (1)")
            conn.execute("SELECT 1 / 0").fetchone()
            pytest.fail("the result could be read")

    with pytest.raises(psycopg.errors.DivisionByZero):
        read()
    assert numbers(conn) == []


def test_an_error_in_the_block_rolls_back(conn):
    def stumble() -> None:
        with transaction(conn):
            conn.execute("INSERT INTO public.kept VALUES (1)")
            raise KeyError

    with pytest.raises(KeyError):
        stumble()
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
