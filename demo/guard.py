"""Runs one program so that no process of it is left when its starter is gone, even by kill -9.

    python guard.py LOG GRACE COMMAND [ARGUMENT...]

The program gets its own process group. The guard waits until the program ends or the guard's standard input is closed,
which the kernel does when the starter dies. It then sends SIGTERM to everything below it, and after GRACE seconds
SIGKILL to what is left. It imports only the standard library, to start fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

_BECOME_SUBREAPER = 36  # prctl(2): orphans become our children, even those in sessions of their own


def main(log: str, grace: float, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the process group must suffice
        ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)
    with Path(log).open("ab") as output:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_default_signals,  # noqa: PLW1509 - this process has no thread yet
        )
    starter_gone = threading.Event()
    threading.Thread(target=_watch_starter, args=(starter_gone,), daemon=True).start()
    while program.poll() is None and not starter_gone.wait(0.05):
        pass
    _end(program.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while _anything_left(program) and time.monotonic() < deadline:
        time.sleep(0.05)
    while _anything_left(program):
        _end(program.pid, signal.SIGKILL)
        time.sleep(0.05)
    return program.wait()


def _default_signals() -> None:
    """An executed program inherits ignored signals, so restore the defaults."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _watch_starter(starter_gone: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    starter_gone.set()


def _end(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    for process in _below(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process) != group:
                os.kill(process, number)


def _anything_left(program: subprocess.Popen[bytes]) -> bool:
    program.poll()
    with contextlib.suppress(ChildProcessError):  # orphans that became ours
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(program.pid, 0)
    except ProcessLookupError:
        return any(_below(os.getpid()))
    except PermissionError:  # macOS raises it for a group of zombies
        return False
    return True


def _below(process: int) -> Iterable[int]:
    """Every descendant listed in /proc; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = entry.read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    waiting = list(children.get(process, []))
    while waiting:
        found = waiting.pop()
        yield found
        waiting += children.get(found, [])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
