"""Where the demo keeps what it makes, and the promise that only one demo uses it at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = Path(__file__).resolve().parent / ".state"


class CannotStart(RuntimeError):
    """Something on this machine is in the way; the text is one sentence that says what to do."""


def take_place(state: Path = STATE) -> IO[str]:
    """Claim `state`, whose directories are emptied, until the returned file is closed or this process is gone.

    Raises CannotStart where another demo holds it.
    """
    state.mkdir(exist_ok=True)
    lock = (state / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise CannotStart(
            f"another demo is running from this directory (process {holder}); "
            f"stop it first, with Ctrl-C there or `kill {holder}` here"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    for left_over in state.iterdir():
        if left_over.is_dir():
            shutil.rmtree(left_over, ignore_errors=True)
    return lock


def check_port(port: int, what: str, variable: str) -> None:
    """Raise CannotStart unless `port` on loopback is free; `variable` is what chooses another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(
                f"port {port}, which {what} needs, cannot be used ({error.strerror}); "
                f"free it or choose another: make demo {variable}={port + 1000}"
            ) from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
