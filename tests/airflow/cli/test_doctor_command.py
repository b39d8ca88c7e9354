"""`airflow jobmon doctor` as people and scripts call it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml
from psycopg.conninfo import make_conninfo

from airflow_jobmon.doctor.checks import AIRFLOW, DATABASE, examine
from airflow_jobmon.doctor.result import State
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.settings import Settings


@pytest.fixture
def healthy(conn, monkeypatch):
    """A database that `listen` watches, and one channel."""
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "oncall")
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9/hook"}))
    alive = {"id": uuid4(), "kind": "listen", "host": "watch-1", "pid": 1, "delivers": True, "listens": True}
    conn.execute(load_queries("watchers")["heartbeat"], alive)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_nothing_wrong_is_exit_code_0(jobmon, healthy):
    said = jobmon("doctor", "-o", "json")
    rows = json.loads(said.out)
    assert said.code == 0
    assert all(set(row) == {"check", "state", "seen", "next"} for row in rows)
    assert {row["check"].split(" oncall")[0] for row in rows} == {check.name for check in (*DATABASE, *AIRFLOW)}
    assert {row["state"] for row in rows} == {"warning", "ok"}
    # Airflow itself runs nowhere here, but somebody delivers without it.
    [triggerer] = [row for row in rows if row["check"] == "triggerer"]
    assert triggerer["state"] == "warning"
    assert triggerer["seen"].endswith("(alerts are delivered meanwhile by listen on watch-1)")


def test_something_wrong_is_exit_code_1_and_comes_first_with_its_whole_advice(jobmon, healthy, conn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    conn.execute("ALTER TABLE public.jobs_log DISABLE TRIGGER airflow_jobmon_failed_insert")
    said = jobmon("doctor")
    lines = said.out.splitlines()
    assert said.code == 1
    assert lines[2].startswith("trigger ")
    assert "| wrong" in lines[2]
    assert "…" not in said.out
    assert said.err.startswith("1 wrong, ")


@pytest.mark.parametrize(
    ("form", "read"),
    [("json", json.loads), ("yaml", yaml.safe_load), ("plain", str.splitlines), ("table", str.splitlines)],
)
def test_every_form_tells_of_every_check_and_no_secret(jobmon, database, airflow_connection, monkeypatch, form, read):
    airflow_connection("jobmon_default", make_conninfo(database, user="nobody-here", password="hunter2-secret"))
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "oncall")
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "slackwebhook", "password": "hunter2-secret"}))
    said = jobmon("doctor", "-o", form)
    assert said.code == 1
    assert len(read(said.out)) >= len(DATABASE) + len(AIRFLOW)
    assert "hunter2" not in said.out + said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        pytest.param(None, "Airflow has no connection 'jobmon_default'", id="missing"),
        pytest.param("mysql://h/d", "is of type 'mysql'", id="of another type"),
    ],
)
def test_a_connection_that_cannot_be_used_is_a_row_and_no_abrupt_end(jobmon, monkeypatch, value, seen):
    if value is None:
        monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", value)
    said = jobmon("doctor", "-o", "json")
    first = json.loads(said.out)[0]
    assert said.code == 1
    assert (first["check"], first["state"]) == ("connection", "wrong")
    assert seen in first["seen"]
    assert first["next"]


def test_another_connection_can_be_examined(jobmon, empty_database, airflow_connection):
    airflow_connection("elsewhere", empty_database)
    rows = {row["check"]: row for row in json.loads(jobmon("doctor", "--conn-id", "elsewhere", "-o", "json").out)}
    assert rows["connection"]["seen"].startswith("connection 'elsewhere' reaches database 'empty_")
    assert rows["schema"]["next"] == "run `airflow jobmon migrate`"


def test_a_setting_that_cannot_be_read_is_one_line(jobmon, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__SWEEP_INTERVAL", "30")
    said = jobmon("doctor")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: [jobmon] sweep_interval: '30' is no duration")


def test_a_server_that_never_answers_is_not_waited_for(database, airflow_home, airflow_connection, silent_server):
    airflow_connection("jobmon_default", make_conninfo(database, port=silent_server, connect_timeout=60))
    began = time.monotonic()
    first, *others = examine("jobmon_default", Settings(), patience=1).results[: len(DATABASE)]
    assert time.monotonic() - began < 30
    assert (first.check, first.diagnosis.state, first.diagnosis.seen) == (
        "connection",
        State.WRONG,
        "no answer within 1 s",
    )
    assert {result.diagnosis.seen for result in others} == {"'connection' did not end"}


def test_a_metadata_database_that_never_answers_hides_nothing_of_ours(
    jobmon_default, airflow_home, silent_server, monkeypatch
):
    from airflow import settings

    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"postgresql+psycopg2://airflow@127.0.0.1:{silent_server}/airflow"
    )
    try:
        restart_orm(settings)
        results = {
            result.check: result.diagnosis for result in examine("jobmon_default", Settings(), patience=6).results
        }
    finally:
        monkeypatch.undo()
        restart_orm(settings)
    assert results["trigger"].state is State.OK
    assert results["airflow database"].state is State.NOT_CHECKED
    assert results["airflow database"].seen == "no answer from Airflow's metadata database within 6 s"
    assert results["triggerer"].state is State.NOT_CHECKED


def restart_orm(settings) -> None:
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def test_a_process_that_leaves_a_hanging_check_behind_ends_quietly(airflow_home, silent_server):
    """Without the connection as an environment variable, it is looked up where nobody answers."""
    metadata = f"postgresql+psycopg2://airflow:hunter2@127.0.0.1:{silent_server}/airflow"
    environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata}
    said = subprocess.run(
        [sys.executable, "-m", "airflow", "jobmon", "doctor", "-o", "json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    first, *others = json.loads(said.stdout)
    assert said.returncode == 1
    assert first["seen"].startswith("connection 'jobmon_default' was not found within 5 s")
    assert "AIRFLOW_CONN_JOBMON_DEFAULT" in first["next"]
    assert {row["state"] for row in others} == {"not checked here"}
    assert "Traceback" not in said.stderr
    assert "hunter2" not in said.stdout + said.stderr
