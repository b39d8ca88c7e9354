"""Free ports on loopback for the servers to start."""

from __future__ import annotations

import random
import socket

_ROOM = range(20_000, 32_000)
"""Below the range of outgoing connections, so that none of those takes a port before its server binds it."""

_chance = random.SystemRandom()  # of its own: two processes with the same seed would meet


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive ports that are free now."""
    while True:
        port = _chance.choice(_ROOM)
        if all(map(_is_free, range(port, port + count))):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
