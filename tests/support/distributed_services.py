"""Runs the services of docker-compose.yaml without a container engine: the same commands and environment.

Host names become ports on 127.0.0.1, files of the image become those of the repository they were copied from, and
nothing else is changed.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from demo.inbox import Inbox
from demo.inbox_reader import title_of
from demo.ports import free_port
from demo.programs import Program, run
from demo.slack_webhook import TOKEN
from tests.support.compose_config import ROOT, composed, make_env
from tests.support.postgres_server import Postgres, temporary_postgres

VENV = ROOT / ".cache" / "distributed" / "venv"


class Services:
    """What has been started of the file, by name; `inbox` gets what is sent."""

    def __init__(self, directory: Path, postgres: Postgres, inbox: Inbox) -> None:
        self.directory, self.postgres, self.inbox = directory, postgres, inbox
        self.secrets = make_env() | {"JOBMON_CHANNELS": "slackwebhook_default,smtp_default"}
        self.services: dict[str, Any] = composed(self.secrets)["services"]
        self.api_port, self.redis_port, self.scheduler_port = free_port(), free_port(), free_port()
        self.programs: dict[str, Program] = {}
        self._here = {
            "metadata-db:5432": f"127.0.0.1:{postgres.port}",
            "jobs-db:5432": f"127.0.0.1:{postgres.port}",
            "redis:6379": f"127.0.0.1:{self.redis_port}",
            "airflow-apiserver:8080": f"127.0.0.1:{self.api_port}",
            "localhost:8974": f"127.0.0.1:{self.scheduler_port}",
            "localhost:8080": f"127.0.0.1:{self.api_port}",
            '"host": "mail", "port": 1025': f'"host": "127.0.0.1", "port": {inbox.smtp_port}',
            "/opt/jobmon/": f"{ROOT / 'docker'}/",
            'save ""\n': f'save ""\nport {self.redis_port}\nbind 127.0.0.1\ndir {directory}\n',
        }

    def environment(self, service: str) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "PG"))}
        given = {name: self._moved(service, value) for name, value in self.services[service]["environment"].items()}
        path = os.pathsep.join([str(VENV / "bin"), str(self.postgres.program("psql").parent), os.environ["PATH"]])
        of_this_machine = {
            "HOSTNAME": socket.gethostname(),
            "PATH": path,
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }
        if given.get("PGHOST", "") == "jobs-db" or service == "jobs-db":
            of_this_machine |= {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port)}
        if service.startswith("airflow-") or service == "listen":
            of_this_machine |= {
                "AIRFLOW_HOME": str(self.directory / "airflow"),
                "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__PORT": str(self.api_port),
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # in a container it is the full name too
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.scheduler_port),
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
                "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
                # What docker/channels.env is for.
                "AIRFLOW_CONN_SLACKWEBHOOK_DEFAULT": json.dumps(
                    {"conn_type": "slackwebhook", "host": self.inbox.webhook_host, "password": TOKEN}
                ),
            }
        return {**theirs, **given, **of_this_machine}

    def command(self, service: str) -> list[str]:
        found = self.services[service]
        return [self._moved(service, part) for part in (found.get("entrypoint") or []) + (found.get("command") or [])]

    def run(self, service: str) -> None:
        """A service that does one thing and ends."""
        run(
            service,
            self.command(service),
            env=self.environment(service),
            log=self.directory / f"{service}.log",
            timeout=240,
        )

    def start(self, service: str, name: str = "") -> Program:
        name = name or service
        self.programs[name] = Program(
            name,
            self.command(service),
            env=self.environment(service),
            log=self.directory / f"{name}.log",
            grace=20,
        )
        return self.programs[name]

    def stop(self, *names: str) -> None:
        """All together, since each takes seconds."""
        for name in names:
            self.programs[name].ask_to_stop()
        for name in names:
            self.programs.pop(name).stop()

    def healthy(self, service: str) -> bool:
        """What the file's own health check says."""
        test: list[str] = self.services[service]["healthcheck"]["test"]
        command = [self._moved(service, part).replace("$$", "$") for part in test[1:]]
        arguments = ["sh", "-c", command[0]] if test[0] == "CMD-SHELL" else command
        env = self.environment(service)
        return subprocess.run(arguments, env=env, capture_output=True, check=False, timeout=60).returncode == 0

    def until(self, condition: Callable[[], object], what: str, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            for program in self.programs.values():
                program.check()
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout:.0f} s for {what} (logs: {self.directory})")
            time.sleep(0.2)

    def until_arrived(self, sink: str, *words: str, timeout: float = 120) -> None:
        def arrived() -> bool:
            received = [title_of(message) for message in self.inbox.received() if message["sink"] == sink]
            return any(all(word in title for word in words) for title in received)

        self.until(arrived, f"{words} by {sink}", timeout)

    def ask(self, path: str) -> requests.Response:
        """The API server, with the machine token."""
        bearer = {"Authorization": f"Bearer {self.secrets['JOBMON_API_TOKEN']}"}
        return requests.get(f"http://127.0.0.1:{self.api_port}{path}", headers=bearer, timeout=20)

    def jobs(self) -> psycopg.Connection[Any]:
        """The database of the jobs, as their owner."""
        return psycopg.connect(self.postgres.conninfo("jobs", user="jobs"), autocommit=True)

    def watching(self) -> set[int]:
        """Process ids of the triggers that watch now."""
        with self.jobs() as conn:
            rows = conn.execute(
                "SELECT pid FROM airflow_jobmon.watchers"
                " WHERE kind = 'trigger' AND seen_at > clock_timestamp() - interval '7 seconds'"
            ).fetchall()
        return {int(pid) for (pid,) in rows}

    def _moved(self, service: str, text: str) -> str:
        places: Mapping[str, str] = {
            one["target"]: one["source"] for one in self.services[service].get("volumes", []) if one["type"] == "bind"
        }
        text = text.replace("$$", "$")
        for there, here in {**self._here, **places}.items():
            text = text.replace(there, here)
        return text


@contextmanager
def running_services(directory: Path) -> Iterator[Services]:
    """All of Airflow but `listen`, two triggerers among it, watching the sample system."""
    if not (VENV / "bin" / "celery").exists():
        pytest.fail(f"Airflow with Celery is not installed in {VENV}; run: make distributed")
    with ExitStack() as started:
        postgres = started.enter_context(temporary_postgres(max_connections="300"))
        inbox = started.enter_context(Inbox())
        with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
            for name in ("airflow", "jobs"):  # as the image makes them
                admin.execute(f"CREATE ROLE {name} SUPERUSER LOGIN")
                admin.execute(f"CREATE DATABASE {name} OWNER {name}")
        services = Services(directory, postgres, inbox)
        started.callback(lambda: services.stop(*services.programs))
        sample = {**services.environment("jobs-db"), "SAMPLE": str(ROOT / "demo" / "sql")}
        run(
            "sample.sh",
            ["bash", ROOT / "docker" / "sample.sh"],
            env=sample,
            log=directory / "sample.log",
            timeout=60,
        )
        services.start("redis")
        services.run("airflow-init")
        services.run("jobs-db-roles")
        services.start("airflow-apiserver")
        services.start("airflow-dag-processor")
        services.until(lambda: services.healthy("airflow-apiserver"), "the API server")
        for name in ("airflow-scheduler", "airflow-worker"):
            services.start(name)
        for number in (1, 2):
            services.start("airflow-triggerer", f"airflow-triggerer-{number}")
        services.until(services.watching, "the watcher in a triggerer", 240)
        yield services


def fresh_name(word: str) -> str:
    return f"{word}-{secrets.token_hex(3)}"
