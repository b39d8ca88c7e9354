"""`airflow jobmon doctor`."""

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

from airflow_jobmon.doctor.checks import AIRFLOW_CHECKS, DATABASE_CHECKS
from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.doctor.runner import run_all_checks
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
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_exit_code_0_if_nothing_is_wrong(jobmon, healthy):
    done = jobmon("doctor", "-o", "json")
    rows = json.loads(done.out)
    assert done.code == 0
    assert all(set(row) == {"check", "state", "seen", "next"} for row in rows)
    assert {row["check"].split(" oncall")[0] for row in rows} == {
        check.name for check in (*DATABASE_CHECKS, *AIRFLOW_CHECKS)
    }
    assert {row["state"] for row in rows} == {"warning", "ok"}
    # Airflow itself does not run here, but `listen` delivers without it.
    [triggerer] = [row for row in rows if row["check"] == "triggerer"]
    assert triggerer["state"] == "warning"
    assert triggerer["seen"].endswith("(meanwhile, alerts are delivered by listen on watch-1)")


def test_exit_code_1_if_something_is_wrong_which_comes_first_with_its_full_advice(jobmon, healthy, conn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    conn.execute("ALTER TABLE public.jobs_log DISABLE TRIGGER airflow_jobmon_failed_insert")
    done = jobmon("doctor")
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[2].startswith("trigger ")
    assert "| wrong" in lines[2]
    assert "…" not in done.out
    assert done.err.startswith("1 wrong, ")


@pytest.mark.parametrize(
    ("form", "read"),
    [("json", json.loads), ("yaml", yaml.safe_load), ("plain", str.splitlines), ("table", str.splitlines)],
)
def test_every_format_shows_every_check_and_no_secret(jobmon, database, airflow_connection, monkeypatch, form, read):
    airflow_connection("jobmon_default", make_conninfo(database, user="nobody-here", password="hunter2-secret"))
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "oncall")
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "slackwebhook", "password": "hunter2-secret"}))
    done = jobmon("doctor", "-o", form)
    assert done.code == 1
    assert len(read(done.out)) >= len(DATABASE_CHECKS) + len(AIRFLOW_CHECKS)
    assert "hunter2" not in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        pytest.param(None, "Airflow has no connection 'jobmon_default'", id="missing"),
        pytest.param("mysql://h/d", "has type 'mysql'", id="of another type"),
    ],
)
def test_an_unusable_connection_is_reported_as_a_row(jobmon, monkeypatch, value, seen):
    if value is None:
        monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", value)
    done = jobmon("doctor", "-o", "json")
    first = json.loads(done.out)[0]
    assert done.code == 1
    assert (first["check"], first["state"]) == ("connection", "wrong")
    assert seen in first["seen"]
    assert first["next"]


def test_another_connection_can_be_checked(jobmon, empty_database, airflow_connection):
    airflow_connection("elsewhere", empty_database)
    rows = {row["check"]: row for row in json.loads(jobmon("doctor", "--conn-id", "elsewhere", "-o", "json").out)}
    assert rows["connection"]["seen"].startswith("connection 'elsewhere' reaches database 'empty_")
    assert rows["schema"]["next"] == "run `airflow jobmon migrate`"


def test_an_invalid_setting_is_a_one_line_error(jobmon, monkeypatch):
    monkeypatch.setenv("AIRFLOW__JOBMON__SWEEP_INTERVAL", "30")
    done = jobmon("doctor")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: [jobmon] sweep_interval: '30' is not a valid duration")


def test_a_server_that_never_answers_is_abandoned(database, airflow_home, airflow_connection, silent_server):
    airflow_connection("jobmon_default", make_conninfo(database, port=silent_server, connect_timeout=60))
    began = time.monotonic()
    first, *others = run_all_checks("jobmon_default", Settings(), time_limit=1).results[: len(DATABASE_CHECKS)]
    assert time.monotonic() - began < 30
    assert (first.check, first.state, first.seen) == (
        "connection",
        CheckState.WRONG,
        "no response within 1 s",
    )
    assert {result.seen for result in others} == {"'connection' did not finish"}


def test_a_metadata_database_that_never_answers_does_not_affect_the_database_checks(
    jobmon_default, airflow_home, silent_server, monkeypatch
):
    from airflow import settings

    monkeypatch.setenv(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"postgresql+psycopg2://airflow@127.0.0.1:{silent_server}/airflow"
    )
    try:
        restart_orm(settings)
        results = {
            result.check: result for result in run_all_checks("jobmon_default", Settings(), time_limit=6).results
        }
    finally:
        monkeypatch.undo()
        restart_orm(settings)
    assert results["trigger"].state is CheckState.OK
    assert results["airflow database"].state is CheckState.NOT_CHECKED
    assert results["airflow database"].seen == "no response from Airflow's metadata database within 6 s"
    assert results["triggerer"].state is CheckState.NOT_CHECKED


def restart_orm(settings) -> None:
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def test_a_process_that_abandons_a_hanging_check_exits_cleanly(airflow_home, silent_server):
    """Without the connection as an environment variable, Airflow looks it up in a database that never answers."""
    metadata = f"postgresql+psycopg2://airflow:hunter2@127.0.0.1:{silent_server}/airflow"
    environment = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "jobmon", "doctor", "-o", "json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    first, *others = json.loads(done.stdout)
    assert done.returncode == 1
    assert first["seen"].startswith("connection 'jobmon_default' was not found within 5 s")
    assert "AIRFLOW_CONN_JOBMON_DEFAULT" in first["next"]
    assert {row["state"] for row in others} == {"not checked here"}
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
