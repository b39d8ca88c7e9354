"""Which trouble with a database gets better by itself."""

from __future__ import annotations

import psycopg
import pytest

from airflow_jobmon.errors import ConfigurationError, ConnectionProblem, SchemaProblem
from airflow_jobmon.postgres.waits import explained, is_refusal


def connecting(words: str) -> ConnectionProblem:
    """As a failed connect raises it."""
    try:
        try:
            raise psycopg.OperationalError(f'connection to server at "127.0.0.1", port 5432 failed: {words}')
        except psycopg.Error:
            raise ConnectionProblem("cannot connect") from None
    except ConnectionProblem as problem:
        return problem


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        pytest.param(connecting('FATAL:  password authentication failed for user "x"'), True, id="wrong password"),
        pytest.param(connecting('FATAL:  database "x" does not exist'), True, id="no such database"),
        pytest.param(connecting("FATAL:  the database system is starting up"), False, id="starting"),
        pytest.param(connecting("FATAL:  the database system is shutting down"), False, id="stopping"),
        pytest.param(connecting("FATAL:  sorry, too many clients already"), False, id="full"),
        pytest.param(connecting("Connection refused"), False, id="nothing listens"),
        pytest.param(psycopg.errors.AdminShutdown("terminating connection"), False, id="killed backend"),
        pytest.param(psycopg.errors.UndefinedTable("relation does not exist"), True, id="not migrated"),
        pytest.param(TimeoutError(), False, id="no answer"),
        pytest.param(ConnectionProblem("Airflow has no connection 'x'"), True, id="no such connection"),
        pytest.param(SchemaProblem("not migrated"), True, id="schema"),
        pytest.param(ConfigurationError("wrong"), True, id="configuration"),
    ],
)
def test_a_refusal_needs_a_person_and_an_outage_needs_time(error, refusal):
    assert is_refusal(error) is refusal


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(psycopg.errors.UndefinedTable("no\nLINE 1"), "airflow jobmon migrate", id="not migrated"),
        pytest.param(psycopg.errors.InsufficientPrivilege("permission denied"), "jobmon_operator", id="no rights"),
        pytest.param(psycopg.OperationalError("gone"), "unavailable: gone", id="lost"),
        pytest.param(TimeoutError(), "unavailable: TimeoutError", id="no answer"),
        pytest.param(psycopg.ProgrammingError(""), "ProgrammingError", id="anything else"),
    ],
)
def test_an_outage_is_described_in_one_line(error, said):
    assert said in str(explained(error))
    assert "\n" not in str(explained(error))
