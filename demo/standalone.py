"""Airflow as the demo runs it: `airflow standalone` in a home of its own, with this project's DAGs and nothing else."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.ports import free_port
from demo.preconditions import REPOSITORY
from demo.programs import Program, ProgramFailed, TookTooLong
from demo.slack_webhook import TOKEN

USER, PASSWORD = "admin", "admin"
SLACK, EMAIL = "slackwebhook_default", "smtp_default"
_SILENCE = 10.0
"""Seconds after which progress reports that the start goes on."""

SWEEP = 5.0
"""Seconds between the watchers' sweeps here; 30 unless set."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach our loopback

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def airflow_program() -> Path:
    """The `airflow` that belongs to this Python."""
    return Path(sys.executable).with_name("airflow")


def environment(
    home: Path, *, port: int, metadata_uri: str, jobs_uri: str, webhook_host: str, smtp_port: int
) -> dict[str, str]:
    """Airflow's whole configuration, as environment variables; the user's own Airflow settings are left out."""
    url = f"http://127.0.0.1:{port}"
    passwords = home / "passwords.json"
    home.mkdir(parents=True, exist_ok=True)
    passwords.write_text(json.dumps({USER: PASSWORD}))
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_uri,
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        # The first task may start long before the API server listens, and its first answers are slow on a busy machine;
        # by default a task gives up after a few seconds.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "80",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "3",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__JOBMON__CHANNELS": f"{SLACK},{EMAIL}",
        "AIRFLOW__JOBMON__SWEEP_INTERVAL": f"{SWEEP:g}s",
        "AIRFLOW_CONN_JOBMON_DEFAULT": jobs_uri,
        f"AIRFLOW_CONN_{SLACK.upper()}": json.dumps(
            {"conn_type": "slackwebhook", "host": webhook_host, "password": TOKEN}
        ),
        f"AIRFLOW_CONN_{EMAIL.upper()}": json.dumps(
            {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": smtp_port,
                "extra": {
                    "disable_ssl": True,
                    "disable_tls": True,
                    "from_email": "Jobmon <jobmon@agencies.example>",
                    "to": ["oncall@agencies.example", "backup@agencies.example"],
                },
            }
        ),
    }
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    path = os.pathsep.join([str(airflow_program().parent), theirs.get("PATH", os.defpath)])
    return {**theirs, **ours, "PATH": path, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}


class Standalone:
    """A running Airflow and its REST API."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.url = env["AIRFLOW__API__BASE_URL"]
        self.program = Program("airflow standalone", [airflow_program(), "standalone"], env=env, log=log)
        self._home = Path(env["AIRFLOW_HOME"])
        self._token: str | None = None

    def wait_until_healthy(self, timeout: float, progress: Callable[[str], None]) -> None:
        """Wait until every part is healthy; report each one to `progress`, and when none has changed for a while."""
        well: set[str] = set()
        reported = time.monotonic()

        def all_well() -> bool:
            nonlocal reported
            health = self.health()
            for part in PARTS:
                if part not in well and (health.get(part) or {}).get("status") == "healthy":
                    well.add(part)
                    reported = time.monotonic()
                    progress(f"{part.replace('_', ' ')} is healthy")
            if time.monotonic() - reported > _SILENCE:
                reported = time.monotonic()
                progress("still starting")
            return well.issuperset(PARTS)

        self.wait_for(all_well, timeout, lambda: f"all of Airflow to be healthy ({', '.join(set(PARTS) - well)} not)")

    def wait_for(self, condition: Callable[[], bool], timeout: float, what: Callable[[], str]) -> None:
        """Until `condition` holds; raises ProgramFailed when Airflow ends, TookTooLong when it takes too long."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.program.check()
            if time.monotonic() > deadline:
                raise TookTooLong(f"waited {timeout:.0f} s for {what()} (log: {self.program.log})")
            time.sleep(0.25)

    def health(self) -> dict[str, Any]:
        """Empty while the API server does not answer."""
        try:
            return self._call("GET", "/api/v2/monitor/health")
        except (OSError, ValueError):
            return {}

    def has_run(self, dag_id: str) -> bool:
        """Whether a run of this DAG has succeeded; raises ProgramFailed where one failed, or a DAG is broken."""
        try:
            if errors := self._import_errors():
                raise ProgramFailed(f"a DAG cannot be imported: {errors[0]} (log: {self.program.log})")
            states = [run["state"] for run in self._runs_of(dag_id)]
        except (OSError, ValueError):  # the API server is busy starting
            return False
        if "failed" in states:
            raise ProgramFailed(f"the DAG {dag_id} failed (logs: {self._home / 'logs'})")
        return "success" in states

    def _runs_of(self, dag_id: str) -> list[dict[str, Any]]:
        """Newest first, at most 20; none while the DAG is unknown."""
        try:
            found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after&limit=20", login=True)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        runs: list[dict[str, Any]] = found["dag_runs"]
        return runs

    def _import_errors(self) -> list[str]:
        found = self._call("GET", "/api/v2/importErrors", login=True)["import_errors"]
        return [f"{entry['filename']}: {entry['stack_trace'].strip().splitlines()[-1]}" for entry in found]

    def _call(self, method: str, path: str, body: Any = None, *, login: bool = False) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if login:
            if self._token is None:
                credentials = {"username": USER, "password": PASSWORD}
                self._token = str(self._call("POST", "/auth/token", credentials)["access_token"])
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        with _OPENER.open(request, data, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
