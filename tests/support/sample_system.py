"""The demo's sample system in a watched database, and a server that emulates the edge function of its job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from demo import sample
from tests.support.http_server import HttpServer, http_server, reply

JOB = sample.INSTALLMENTS


def watched_system(conninfo: str) -> None:
    """Tables, procedures and two agencies, without any history; migrated."""
    with connect(conninfo) as conn:
        conn.execute((sample.SQL / "system.sql").read_text())
        conn.execute(
            "WITH a AS (INSERT INTO agencies (name, time_zone) VALUES ('North', 'UTC'), ('South', 'UTC') RETURNING id)"
            " INSERT INTO payment_plans (agency_id, student) SELECT id, 'somebody' FROM a"
        )
        migrate(conn, Settings())


@contextmanager
def edge_function(conninfo: str) -> Iterator[HttpServer]:
    """Runs the job for whoever posts to it, and answers when it is done: 200, or 500 with the error."""

    def behave(conn, stop) -> None:
        with psycopg.connect(conninfo, autocommit=True) as database:
            problem = sample.run_job(database, JOB)
        answer = reply(500, json.dumps({"error": problem})) if problem else reply(200, '{"ok": true}')
        answer(conn, stop)

    with http_server(behave) as server:
        yield server
