"""`airflow jobmon listen` as a process of its own, to be stopped, resumed and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.support.wait_until import wait_until

FORKER = Path(__file__).with_name("fork_commands.py")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Listener:
    """One running `listen`."""

    pid: int
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return state != "Z"

    def until_it_watches(self) -> None:
        self.until_it_says("watching by")

    def until_it_says(self, words: str) -> None:
        wait_until(
            lambda: re.search(words, self.said) or not self.runs,
            f"the listener to say {words!r}; it said:\n{self.said}",
        )
        assert self.runs, f"the listener ended:\n{self.said}"

    def pause(self) -> None:
        self._send(signal.SIGSTOP)
        wait_until(self._is_paused, "the listener to be paused")

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._send(signal.SIGKILL)
        self.until_it_ended()

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def until_it_ended(self) -> None:
        wait_until(lambda: not self.runs, f"process {self.pid} to end; it said:\n{self.said}")

    def _is_paused(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class CommandForker:
    """Starts listeners: each inherits the environment of the process that it is forked from, and `env`."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._directory = directory
        self._numbers = count(1)

    def start(self, env: Mapping[str, str], *arguments: str, command: str = "listen") -> Listener:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        log = self._directory / f"listener-{next(self._numbers)}.log"
        log.touch()
        words = ["airflow", "jobmon", command, *arguments]
        self._process.stdin.write(json.dumps({"env": dict(env), "log": str(log), "command": words}) + "\n")
        self._process.stdin.flush()
        return Listener(int(self._process.stdout.readline()), log)


@contextmanager
def command_forker(directory: Path) -> Iterator[CommandForker]:
    """Its processes end with it, and see no setting of the surrounding Airflow."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env = {
        **theirs,
        "AIRFLOW_HOME": str(directory / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(_ROOT),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    with (
        (directory / "forker.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, FORKER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            while said and said.strip() != "ready":
                said = process.stdout.readline()
            assert said, f"the forker did not start:\n{(directory / 'forker.log').read_text()}"
            yield CommandForker(process, directory)
        finally:
            process.kill()
