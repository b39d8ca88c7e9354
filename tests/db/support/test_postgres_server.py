"""The Postgres that the demo and the tests start: it comes back after kill -9 and never outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

import tests.support.postgres_server
from tests.support.postgres_programs import PostgresUnavailable
from tests.support.postgres_server import FAST, Postgres, temporary_postgres


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def server_pid(server: Postgres) -> int:
    return int((server.data / "postmaster.pid").read_text().split("\n")[0])


def test_what_was_committed_is_there_after_kill_9_and_after_a_restart():
    with temporary_postgres(fsync="on", synchronous_commit="on") as server:
        port = server.port
        with psycopg.connect(server.conninfo()) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
        for again in (lambda: (server.kill(), server.start()), server.restart):
            again()
            assert server.port == port
            with psycopg.connect(server.conninfo()) as conn:
                assert conn.execute("SELECT n FROM kept").fetchone() == (1,)


def test_a_port_that_is_busy_is_named(tmp_path, postgres):
    with pytest.raises(PostgresUnavailable, match=f"port {postgres.port} on 127.0.0.1 is busy"):
        Postgres(tmp_path / "second", FAST, port=postgres.port).start()


def test_a_setting_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(PostgresUnavailable, match="no_such_setting"):
        Postgres(tmp_path / "wrong", {**FAST, "no_such_setting": "1"}).start()


OWNER = """
import signal, sys, time
from pathlib import Path
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)  # a shell starts what runs in its background with SIGINT ignored
from tests.support.postgres_server import FAST, Postgres
server = Postgres(Path(sys.argv[1]), FAST)
server.start()
print((server.data / "postmaster.pid").read_text().split()[0], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_stops_with_the_process_that_started_it(tmp_path, number):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "cluster")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.send_signal(number)
    owner.wait(30)
    owner.stdout.close()
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_server_that_died_by_itself_starts_again():
    with temporary_postgres() as server:
        os.kill(server_pid(server), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while server.running and time.monotonic() < deadline:
            time.sleep(0.02)
        server.start()
        with psycopg.connect(server.conninfo()) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("place", ["/nowhere", "/proc"], ids=["there is none", "there is no room"])
def test_a_temporary_cluster_is_on_disk_where_memory_has_no_room(monkeypatch, place):
    monkeypatch.setattr(tests.support.postgres_server, "_SHARED_MEMORY", place)
    with temporary_postgres() as server:
        assert server.directory.parent == Path(tempfile.gettempdir())
