"""Airflow's API server as a process, under a path, with its login and its interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
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
    """With the simple auth manager and a copy of the migrated `metadata` database.

    There are two users, whose passwords are their names: `admin`, and `guest`, who may see nothing.
    """
    home = directory / "server"
    (home / "dags").mkdir(parents=True)
    shutil.copy(metadata, home / "airflow.db")
    (home / "passwords.json").write_text(json.dumps({"admin": "admin", "guest": "guest"}))
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,guest:",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **environment,
    }
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with serving(sys.executable, "airflow", {**theirs, **ours}, home / "api-server.log") as running:
        yield running


@contextmanager
def serving(python: str | Path, path: str, environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """An API server, answering, under `path`, of the Airflow that `python` has; `admin` can log in there."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/{path}"
    where = {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
    }
    with log.open("wb") as said:
        process = subprocess.Popen(
            [python, "-m", "airflow", "api-server"], env={**environment, **where}, stdout=said, stderr=said
        )
    try:
        yield Server(url, _first_login(url, process, log))
    finally:
        process.terminate()
        process.wait(30)


def log_in(url: str, name: str) -> str:
    """The token of a user whose password is his name."""
    credentials = json.dumps({"username": name, "password": name}).encode()
    request = urllib.request.Request(f"{url}/auth/token", credentials, {"Content-Type": "application/json"})
    with _OPENER.open(request, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


def _first_login(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 120
    while True:
        try:
            return log_in(url, "admin")
        except OSError as error:
            refused = isinstance(error, urllib.error.HTTPError)
            if refused or process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{error}: {log.read_text()[-4000:]}")
            time.sleep(0.2)
