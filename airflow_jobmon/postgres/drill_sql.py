"""Runs the SQL of an end-to-end drill: statements that a user wrote, with values that the first of them returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import ClientCursor, Connection, Error, ProgrammingError

from airflow_jobmon.errors import ConfigurationError

_NATIVE = (bool, int, float, str)


def run_sql(conn: Connection[Any], text: str, values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Run one or several statements; the first row of the last that returned any, by column name, else nothing.

    `values` are put in as literals, not as parameters, since the server takes parameters for one statement only. What
    JSON cannot hold is returned as text. Raises ConfigurationError, `what` before the server's words.
    """
    cursor = ClientCursor(conn)
    row: dict[str, Any] = {}
    try:
        cursor.execute(text, values)
        while True:
            if cursor.description is not None and (found := cursor.fetchone()) is not None:
                row = {column.name: _native(value) for column, value in zip(cursor.description, found, strict=True)}
            if not cursor.nextset():
                return row
    except Error as error:
        hint = f" (hint: {error.diag.message_hint})" if error.diag.message_hint else ""
        if (
            isinstance(error, ProgrammingError) and error.sqlstate is None
        ):  # not the server's word, but the placeholders'
            hint = f"; known are {', '.join(f'%({name})s' for name in values)}, and a literal % is written %%"
        raise ConfigurationError(f"{what}: {error.diag.message_primary or str(error).strip()}{hint}") from None


def _native(value: Any) -> Any:
    return value if value is None or isinstance(value, _NATIVE) else str(value)
