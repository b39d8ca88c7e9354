"""Debian's pgbouncer in front of a Postgres, pooling by transaction, as Supabase's port 6543 does."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

from demo.ports import free_port
from tests.support.postgres_server import Postgres

_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
max_client_conn = 200
default_pool_size = {pool_size}
server_reset_query = DISCARD ALL
"""


@dataclass(frozen=True)
class Pooler:
    """A running pgbouncer; every client becomes `postgres` behind it."""

    port: int
    log: Path

    def conninfo(self, dbname: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={dbname}"


@contextmanager
def pgbouncer(server: Postgres, *, pool_mode: str = "transaction", pool_size: int = 20) -> Iterator[Pooler]:
    """pgbouncer on a free port, before every database of the server. Fails, loudly, where it is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail("pgbouncer is not installed; run: make extras (or apt-get install pgbouncer)")
    directory = Path(mkdtemp(prefix="jobmon-pgbouncer-"))
    try:
        for _ in range(5):
            pooler = Pooler(free_port(), directory / "log")
            configuration = directory / "pgbouncer.ini"
            configuration.write_text(
                _CONFIGURATION.format(
                    server_port=server.port, port=pooler.port, pool_mode=pool_mode, pool_size=pool_size
                )
            )
            with pooler.log.open("w") as log:
                process = subprocess.Popen(
                    [program, *_as_somebody_else(), str(configuration)], stdout=log, stderr=log, cwd="/"
                )
            try:
                if _is_ready(process, pooler):
                    yield pooler
                    return
            finally:
                process.terminate()
                process.wait(10)
        pytest.fail(f"pgbouncer does not start: {pooler.log.read_text()[-500:]}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _as_somebody_else() -> list[str]:
    """It refuses to run as root."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return ["-u", pwd.getpwnam(name).pw_name]
    pytest.fail("pgbouncer does not run as root, and there is neither a user postgres nor nobody")


def _is_ready(process: subprocess.Popen[bytes], pooler: Pooler) -> bool:
    """False if it ended, as it does when another process has taken the port."""
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(pooler.conninfo("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False
