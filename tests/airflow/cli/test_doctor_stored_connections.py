"""`airflow jobmon doctor` as a process, with connections stored in Airflow's metadata database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict


def airflow(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", *args], env=os.environ, capture_output=True, text=True, check=False
    )


def test_the_doctor_finds_connections_stored_in_airflows_database(airflow_home: Path, database, monkeypatch):
    fields = conninfo_to_dict(database)
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT", raising=False)
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "stored_hook")
    stored = {
        "jobmon_default": f"postgresql://{fields['user']}@{fields['host']}:{fields['port']}/{fields['dbname']}",
        "stored_hook": "http://127.0.0.1:9",
    }
    try:
        for conn_id, uri in stored.items():
            assert airflow("connections", "add", conn_id, "--conn-uri", uri).returncode == 0
        said = airflow("jobmon", "doctor", "-o", "json")
        states = {row["check"]: (row["state"], row["seen"]) for row in json.loads(said.stdout)}
    finally:
        for conn_id in stored:
            airflow("connections", "delete", conn_id)
    assert states["connection"][0] == "ok", states
    assert states["airflow database"][0] == "ok", states
    assert states["channel stored_hook"][0] == "ok", states
