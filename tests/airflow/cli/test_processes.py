"""Commands as real processes: clean stdout, and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.logged_runs import log_run

AIRFLOW = Path(sys.executable).with_name("airflow")


@pytest.fixture
def process_environment(airflow_home, jobmon_default):
    return {name: value for name, value in os.environ.items() if name != "_AIRFLOW_PROCESS_CONTEXT"}


def test_stdout_carries_nothing_but_the_result(process_environment, conn):
    log_run(conn, "nightly", "failed")
    done = subprocess.run(
        [AIRFLOW, "jobmon", "check", "--record", "-o", "json"],
        env={**process_environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["status"] == "critical"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_listen_runs_until_a_signal_stops_it_and_leaves_nothing_behind(process_environment, conn, number):
    environment = {
        **process_environment,
        "AIRFLOW__JOBMON__CHANNELS": "hook",
        "AIRFLOW_CONN_HOOK": '{"conn_type": "http", "host": "http://127.0.0.1:9/"}',
    }
    with subprocess.Popen(
        [AIRFLOW, "jobmon", "listen"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listening:
        logged = []
        for line in listening.stderr:
            logged.append(line)
            if "watching" in line:
                listening.send_signal(number)
        assert (listening.wait(60), listening.stdout.read()) == (0, ""), "".join(logged)
    assert logged[-1].endswith("stopped\n")
    assert [line for line in logged if not re.match(r"\d{4}-\d\d-\d\d .* (INFO|WARNING|ERROR) +\S", line)] == []
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.watchers").fetchone() == (0,)
