"""The programs that the demo starts: each has a guard and a log of its own, and all are stopped at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
GRACE = 8.0
"""Seconds from SIGTERM to SIGKILL; Airflow takes about 5."""


class ProgramFailed(RuntimeError):
    """A program ended too early; the text has its name, its exit code, its last line and the path of its log."""


class TookTooLong(RuntimeError):
    """A condition did not become true in time; the text has the condition, the seconds and the path of the log."""


class Program:
    """One program that runs until `stop`, or until this process ends for any reason."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        grace: float = GRACE,
    ) -> None:
        self.name, self.log, self._grace = name, log, grace
        log.parent.mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", GUARD, log, str(grace), *command],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def check(self) -> None:
        """Raise ProgramFailed if it has ended."""
        code = self._guard.poll()
        if code is not None:
            raise ProgramFailed(f"{self.name} ended with exit code {code}: {last_words(self.log)} (log: {self.log})")

    def ask_to_stop(self) -> None:
        """Ask it to stop, and everything below it, without waiting."""
        if self._guard.stdin:
            self._guard.stdin.close()

    def stop(self) -> None:
        """Stop it and everything below it, and wait until all have ended."""
        self.ask_to_stop()
        try:
            self._guard.wait(self._grace + 8)
        except subprocess.TimeoutExpired:  # a process that even SIGKILL does not end is stuck in the kernel
            self._guard.kill()
            raise ProgramFailed(f"{self.name} could not be stopped; find its processes with ps") from None

    def wait(self, timeout: float) -> int:
        """Its exit code; raises subprocess.TimeoutExpired."""
        return self._guard.wait(timeout)


def run(name: str, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path, timeout: float) -> None:
    """Run a program to its end; raises ProgramFailed unless it exits with 0 within `timeout` seconds."""
    program = Program(name, command, env=env, log=log)
    try:
        code = program.wait(timeout)
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"{name} took more than {timeout:.0f} s (log: {log})") from None
    finally:
        program.stop()
    if code != 0:
        raise ProgramFailed(f"{name} failed: {last_words(log)} (log: {log})")


def last_words(log: Path) -> str:
    """The last line of a log, cut to what fits in a sentence."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "no output"
