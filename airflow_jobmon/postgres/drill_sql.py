"""Runs the SQL of an end-to-end drill: statements of the user, with the values that the first of them returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import ClientCursor, Connection, Error, ProgrammingError

from airflow_jobmon.errors import ConfigurationError

_NATIVE = (bool, int, float, str)


def run_sql(conn: Connection[Any], text: str, values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Run one or several statements; returns the first row of the last one that returned any, by column name.

    `values` become literals, not parameters, since the server takes parameters for a single statement only. Values that
    JSON cannot hold are returned as text. Raises ConfigurationError, with `what` before the server's message.
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
        if isinstance(error, ProgrammingError) and error.sqlstate is None:  # from the placeholders, not the server
            hint = f"; known are {', '.join(f'%({name})s' for name in values)}, and a literal % is written %%"
        raise ConfigurationError(f"{what}: {error.diag.message_primary or str(error).strip()}{hint}") from None


def _native(value: Any) -> Any:
    return value if value is None or isinstance(value, _NATIVE) else str(value)
