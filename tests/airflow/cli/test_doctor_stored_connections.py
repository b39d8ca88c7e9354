"""`airflow jobmon doctor` as a process, with connections stored in Airflow's metadata database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict


@pytest.fixture
def stored_connections(airflow_home: Path, database: str, monkeypatch) -> Iterator[None]:
    """In Airflow's metadata database, as `airflow connections add` stores them."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT", raising=False)
    fields = conninfo_to_dict(database)
    stored = {
        "jobmon_default": f"postgresql://{fields['user']}@{fields['host']}:{fields['port']}/{fields['dbname']}",
        "stored_hook": "http://127.0.0.1:9",
    }
    with create_session(scoped=False) as session:
        session.add_all(Connection(conn_id=conn_id, uri=uri) for conn_id, uri in stored.items())
    yield
    with create_session(scoped=False) as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(stored)))


def test_it_finds_connections_that_are_stored_in_airflows_own_database(stored_connections, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "stored_hook")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "jobmon", "doctor", "-o", "json"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    states = {row["check"]: (row["state"], row["seen"]) for row in json.loads(done.stdout)}
    assert states["connection"][0] == "ok", states
    assert states["airflow database"][0] == "ok", states
    assert states["channel stored_hook"][0] == "ok", states
