"""Reads what an entry of the registry can be learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from psycopg import Connection

from airflow_jobmon.core.schedule.zones import check_zone
from airflow_jobmon.core.suggest.suggest import History
from airflow_jobmon.postgres.queries import load_queries

_BATCH = 50
_MOST = 4000
"""Runs of one job: three days of each minute, a year and more of what runs nine times a day."""

_UTC = {"GMT", "UCT", "UTC", "Zulu", "Universal", "Greenwich"}
"""What UTC is called besides; with or without Etc/ before it."""


def histories(conn: Connection[Any], names: Sequence[str], days: int) -> Iterator[History]:
    """The newest runs of each of these jobs, of the last `days` at most."""
    query = load_queries("run_history")["histories"]
    for at in range(0, len(names), _BATCH):
        given = {"names": list(names[at : at + _BATCH]), "days": days, "most": _MOST}
        for name, starts, seconds in conn.execute(query, given).fetchall():
            yield History(name, starts, [timedelta(seconds=value) for value in seconds], cut=len(starts) == _MOST)


def zones_of_database(conn: Connection[Any]) -> list[str]:
    """Zones that the database is set up with, the likeliest to hold for its jobs first, if known here too."""
    found = []
    for (zone,) in conn.execute(load_queries("run_history")["zones"]):
        name = "UTC" if zone.removeprefix("Etc/") in _UTC else zone
        try:
            check_zone(name)
        except ValueError:
            continue
        found.append(name)
    return found
