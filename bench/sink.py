"""A Slack webhook on loopback that only records when each job's alert arrived, by this machine's clock."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress

from bench.environment import BenchFailed

_NAME = re.compile(rb"bench-[0-9a-z]+-\d+")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"


class Sink:
    """Answers every POST with Slack's `ok`, header and body in one write; keeps connections open if asked.

    Times are time.monotonic().
    """

    def __init__(self) -> None:
        self.received: dict[str, float] = {}
        self.accepted: dict[str, float] = {}
        self.messages: list[float] = []
        self.repeats = 0
        self._changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/T0/B0/bench"

    def close(self) -> None:
        self._server.close()

    def wait_for(self, job_name: str, timeout: float = 20) -> None:
        """Until the alert about this job was answered."""
        with self._changed:
            if not self._changed.wait_for(lambda: job_name in self.accepted, timeout):
                raise BenchFailed(f"no alert about {job_name} came within {timeout:g} s")

    def wait_for_count(self, count: int, timeout: float) -> bool:
        """Whether alerts about so many jobs were answered in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.accepted) >= count, timeout)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        unread = b""
        with connection, suppress(OSError):
            while True:
                while b"\r\n\r\n" not in unread:
                    if not (piece := connection.recv(65536)):
                        return
                    unread += piece
                head, _, unread = unread.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                size = int(length[1]) if length else 0
                while len(unread) < size:
                    unread += connection.recv(65536)
                body, unread = unread[:size], unread[size:]
                received = time.monotonic()
                connection.sendall(_ANSWER)
                self._note(body, received, time.monotonic())

    def _note(self, body: bytes, received: float, accepted: float) -> None:
        with self._changed:
            self.messages.append(accepted)
            for name in {found.decode() for found in _NAME.findall(body)}:
                self.repeats += name in self.accepted
                self.received.setdefault(name, received)
                self.accepted.setdefault(name, accepted)
            self._changed.notify_all()
