"""The demo's directory, its lock (one demo at a time), and checks of ports."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = Path(__file__).resolve().parent / ".state"


class CannotStart(RuntimeError):
    """The demo cannot start on this machine; the text is one sentence that says what to do."""


def claim_state_directory(state: Path = STATE) -> IO[str]:
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


LAST_PORT = 65535


def parse_port(text: str, name: str, *, lowest: int = 1) -> int:
    """Raise CannotStart unless `text` is a port in decimal; `name` is what set it; `lowest=0` admits any free one."""
    digits = text.strip()
    if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(LAST_PORT)):
        port = int(digits)
        if lowest <= port <= LAST_PORT:
            return port
    raise CannotStart(
        f"{name} is {text[:40]!r}, which is not a port; choose a whole number from {lowest} to {LAST_PORT}"
    )


def refuse_equal_ports(ports: Mapping[str, int]) -> None:
    """Raise CannotStart if two of these ports are equal, by what set them; 0 means a free port and never clashes."""
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if port and port in taken:
            raise CannotStart(f"{taken[port]} and {name} are both {port}; choose a different port for one of them")
        taken[port] = name


def another_port(port: int) -> int:
    return port + 1000 if port + 1000 <= LAST_PORT else port - 1000


def check_port(port: int, what: str, choose: str) -> None:
    """Raise CannotStart unless `port` on loopback is free; `choose` and a port make the command that takes another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(
                f"port {port}, which {what} needs, cannot be used ({error.strerror}); "
                f"free it or choose another: {choose}{another_port(port)}"
            ) from None
