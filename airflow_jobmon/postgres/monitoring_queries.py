"""The monitoring queries in sql/psql/queries.sql, which psql reads too: list, run, and print them for SQL editors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from psycopg import Connection, sql

from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.queries import load_queries, sql_directory

_ONLY_JOB = "(:'job_name' = '' OR job_name = :'job_name')"
"""How each query is narrowed to one job, written so that psql and this package read the same file."""

_PARTS = re.compile(
    r"""
      --[^\n]*            # comments and quoted text hold no parameters
    | /\*.*?\*/
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | ::                  # a cast
    | :'(?P<name>\w+)'
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """meaning: one or two sentences. statement: with psql's parameters, `:'job_name'`."""

    name: str
    meaning: str
    statement: str


class QueryResult(NamedTuple):
    """Values are JSON's own, or a datetime (aware, UTC) or a date."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@cache
def list_queries() -> tuple[NamedQuery, ...]:
    """All monitoring queries, in the order of the file."""
    return tuple(_named(name, text) for name, text in load_queries("queries", folder="psql").items())


def queries_file() -> str:
    """The text of the file, for psql."""
    return (sql_directory() / "psql" / "queries.sql").read_text(encoding="utf-8")


def run_query(conn: Connection[Any], name: str, job_name: str | None = None) -> QueryResult:
    """Run a query for one job or for all.

    Raises ConfigurationError for an unknown query. An unknown job has no rows.
    """
    statement = bind_parameters(find_query(name).statement)
    with conn.cursor() as cursor:
        cursor.execute(statement, {"job_name": job_name or ""})
        columns = tuple(column.name for column in cursor.description or ())
        return QueryResult(columns, [tuple(_value(value) for value in row) for row in cursor.fetchall()])


def find_query(name: str) -> NamedQuery:
    """Find a query by name; dashes and spaces may replace underscores.

    Raises ConfigurationError with the nearest name, or with all names.
    """
    queries = {query.name: query for query in list_queries()}
    found = queries.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is not None:
        return found
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    near = get_close_matches(name, queries, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the queries are {', '.join(queries)}"
    raise ConfigurationError(f"there is no query {name[:60]!r}; {hint}")


def plain_sql(query: NamedQuery, job_name: str | None = None) -> str:
    """The query for an SQL editor without parameters, narrowed to one job or for all."""
    only = "true" if job_name is None else f"job_name = {sql.Literal(job_name).as_string(None)}"
    return query.statement.replace(_ONLY_JOB, only)


def bind_parameters(statement: str) -> str:
    """Replace psql's `:'name'` by psycopg's `%(name)s`, so that a value is bound and never pasted into the text."""

    def bound(found: re.Match[str]) -> str:
        return f"%({found['name']})s" if found["name"] else found[0].replace("%", "%%")

    parts: list[str] = []
    end = 0
    for found in _PARTS.finditer(statement):
        parts += [statement[end : found.start()].replace("%", "%%"), bound(found)]
        end = found.end()
    return "".join([*parts, statement[end:].replace("%", "%%")])


def _named(name: str, text: str) -> NamedQuery:
    lines = text.splitlines()
    comments = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    return NamedQuery(name, " ".join(comments), "\n".join(line for line in lines if not line.startswith("--")))


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
