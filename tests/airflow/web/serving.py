"""Airflow's API server as a process, under a path, with its own login and interface: what a browser talks to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.ports import free_port

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Server:
    """url ends with the path under which Airflow lives; token is an administrator's."""

    url: str
    token: str


@contextmanager
def api_server(directory: Path, metadata: Path, environment: dict[str, str]) -> Iterator[Server]:
    """Answering; with a copy of the migrated `metadata` database."""
    home = directory / "server"
    (home / "dags").mkdir(parents=True)
    shutil.copy(metadata, home / "airflow.db")
    (home / "passwords.json").write_text(json.dumps({"admin": "admin"}))
    port = free_port()
    url = f"http://127.0.0.1:{port}/airflow"
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **environment,
    }
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with (home / "api-server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"], env={**theirs, **ours}, stdout=log, stderr=log
        )
    try:
        yield Server(url, _login(url, process, home / "api-server.log"))
    finally:
        process.terminate()
        process.wait(30)


def _login(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    credentials = json.dumps({"username": "admin", "password": "admin"}).encode()
    request = urllib.request.Request(f"{url}/auth/token", credentials, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while True:
        try:
            with _OPENER.open(request, timeout=10) as answer:
                return str(json.load(answer)["access_token"])
        except OSError as error:
            refused = isinstance(error, urllib.error.HTTPError)
            if refused or process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{error}: {log.read_text()[-4000:]}")
            time.sleep(0.2)
