"""Reads the run history from which `jobs suggest` derives registry entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from airflow_jobmon.core.schedule.zones import check_zone
from airflow_jobmon.core.suggest.suggest import History
from airflow_jobmon.postgres.queries import load_queries

_BATCH = 50
_MOST = 4000
"""Runs of one job: enough for three days of one a minute, and for over a year of nine a day."""

_UTC = {"GMT", "UCT", "UTC", "Zulu", "Universal", "Greenwich"}
"""Other names of UTC, with or without Etc/ in front."""


def histories(conn: Connection[Any], names: Sequence[str], days: int) -> Iterator[History]:
    """The newest runs of each of these jobs, of the last `days` at most."""
    query = load_queries("run_history")["histories"]
    cursor = conn.cursor(row_factory=namedtuple_row)
    row: Any
    for at in range(0, len(names), _BATCH):
        given = {"names": list(names[at : at + _BATCH]), "days": days, "most": _MOST}
        for row in cursor.execute(query, given).fetchall():
            durations = [timedelta(seconds=seconds) for seconds in row.seconds]
            yield History(row.name, row.starts, durations, cut=len(row.starts) == _MOST)


def zones_of_database(conn: Connection[Any]) -> list[str]:
    """The time zones that the database is configured with and that are known here, the likeliest for its jobs first."""
    found = []
    for (zone,) in conn.execute(load_queries("run_history")["zones"]):
        name = "UTC" if zone.removeprefix("Etc/") in _UTC else zone
        try:
            check_zone(name)
        except ValueError:
            continue
        found.append(name)
    return found
