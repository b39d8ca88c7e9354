"""The installation that the doctor checks: its settings, its connection, and what earlier checks found out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import namedtuple_row

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.runtime import connections
from airflow_jobmon.settings import Settings

CONNECT_TIMEOUT = 3
"""Seconds; a person is waiting for the doctor."""


@dataclass
class CheckedInstallation:
    """Checks fill in what they reach; a check that needs a field which is still None or False is skipped.

    log: oid of the table that the view `runs` reads. delivering: live processes that deliver without Airflow.
    """

    conn_id: str
    settings: Settings
    conninfo: str | None = None
    conn: Connection[Any] | None = None
    migrated: bool = False
    log: int | None = None
    metadata: bool = False
    delivering: list[str] = field(default_factory=list)

    def connect(self) -> None:
        """Raises ConnectionProblem."""
        conninfo = connections.conninfo(self.conn_id)
        if "connect_timeout" not in conninfo_to_dict(conninfo):
            conninfo = make_conninfo(conninfo, connect_timeout=CONNECT_TIMEOUT)
        self.conninfo = conninfo
        self.conn = connect(conninfo)

    @property
    def connection(self) -> Connection[Any]:
        if self.conn is None:
            raise LookupError("this check needs a connection; the checks are in the wrong order")
        return self.conn

    @property
    def address(self) -> str:
        """host:port, for messages."""
        info = self.connection.info
        return f"{info.host}:{info.port}"

    def fetch_all(self, query: str, **given: Any) -> list[Any]:
        """The rows of a query in sql/queries/doctor*.sql, run in a read-only transaction with short time limits."""
        sql = {**load_queries("doctor"), **load_queries("doctor_queues")}
        conn = self.connection
        with conn.transaction(), conn.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(sql["time_limits"])
            return cursor.execute(sql[query], {"log": self.log, **given}).fetchall()

    def fetch_one(self, query: str, **given: Any) -> Any:
        """The row of a query that always returns one."""
        [row] = self.fetch_all(query, **given)
        return row

    def close(self) -> None:
        if self.conn is not None:
            self.conn.close()
