"""The installation under examination: its settings, its connection, and what earlier checks learned of it."""

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
"""Seconds; whoever runs the doctor is waiting for it."""


@dataclass
class Patient:
    """What is looked at. A field that is None or False was not reached: checks that need it are not made.

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
        """host:port as a person would name it."""
        info = self.connection.info
        return f"{info.host}:{info.port}"

    def ask(self, query: str, **given: Any) -> list[Any]:
        """Rows of a query of sql/doctor*.sql, in a read-only transaction that neither runs nor waits for long."""
        sql = {**load_queries("doctor"), **load_queries("doctor_queues")}
        conn = self.connection
        with conn.transaction(), conn.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(sql["bounds"])
            return cursor.execute(sql[query], {"log": self.log, **given}).fetchall()

    def ask_one(self, query: str, **given: Any) -> Any:
        """The one row that a query always has."""
        [row] = self.ask(query, **given)
        return row

    def close(self) -> None:
        if self.conn is not None:
            self.conn.close()
