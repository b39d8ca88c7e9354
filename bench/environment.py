"""The environment of the measurements: a durable Postgres server (fsync on) and Airflow's command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.postgres_server import Postgres

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = REPOSITORY / ".cache"
SLACK = "slack_bench"

SERVER = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "max_connections": "100"}
"""As durable as a server is by default; memory and checkpoints sized so that loading a history does not interfere."""


class BenchFailed(RuntimeError):
    """A measurement failed; the text says why."""


@contextmanager
def bench_environment(**settings: str) -> Iterator[BenchEnvironment]:
    """A new cluster in a temporary directory, gone at the end with everything that was started on it."""
    directory = Path(tempfile.mkdtemp(prefix="jobmon-bench-"))
    server = Postgres(directory / "postgres", {**SERVER, **settings})
    try:
        server.start()
        yield BenchEnvironment(directory, server)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


class BenchEnvironment:
    """One Postgres, and programs with a home of their own."""

    def __init__(self, directory: Path, server: Postgres) -> None:
        self.directory = directory
        self.server = server

    def create_database(self, name: str) -> str:
        """A new empty database; returns its conninfo."""
        with psycopg.connect(self.server.conninfo(), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.server.conninfo(name)

    def environment(self, database: str, webhook: str | None = None, **more: str) -> dict[str, str]:
        """For `airflow ...`: the job log is `database`, and its one channel the Slack webhook at `webhook`."""
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        ours = {
            "AIRFLOW_HOME": str(self.directory / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_JOBMON_DEFAULT": self.server.uri(database),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        if webhook:
            ours["AIRFLOW__JOBMON__CHANNELS"] = SLACK
            host, token = webhook.rsplit("/", 1)
            ours[f"AIRFLOW_CONN_{SLACK.upper()}"] = json.dumps(
                {"conn_type": "slackwebhook", "host": host, "password": token}
            )
        return {**theirs, **ours, **more}

    def airflow(self, *arguments: str, env: Mapping[str, str]) -> None:
        """Run one `airflow` command to its end; raises BenchFailed with its last words."""
        done = subprocess.run(
            [airflow_program(), *arguments], env=dict(env), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise BenchFailed(f"airflow {' '.join(arguments)} failed: {said[-1] if said else done.returncode}")

    @contextmanager
    def running(self, name: str, command: list[str | Path], env: Mapping[str, str]) -> Iterator[Path]:
        """A program that runs until the end of the block; gives the path of its log."""
        log = self.directory / f"{name}.log"
        with log.open("w") as output:
            program = subprocess.Popen(
                command, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield log
            if program.poll() is not None:
                raise BenchFailed(f"{name} ended by itself, exit code {program.returncode}: {log.read_text()[-500:]}")
        finally:
            with suppress(ProcessLookupError):
                program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def airflow_program() -> Path:
    """The `airflow` that belongs to this Python."""
    return Path(sys.executable).with_name("airflow")
