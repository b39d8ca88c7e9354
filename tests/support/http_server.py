"""An HTTP server on loopback that misbehaves on demand and records the requests that it receives."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[socket.socket, threading.Event], None]


def reply(status: int, body: str | bytes = b"", **headers: str) -> Behaviour:
    """An answer; header names are given with underscores: `Retry_After="3"`."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def behave(conn: socket.socket, stop: threading.Event) -> None:
        conn.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    return behave


SECONDS_OF_MISBEHAVIOUR = 30
"""How long a misbehaving server hangs or drips: longer than any timeout that a test sets."""


def hang(conn: socket.socket, stop: threading.Event) -> None:
    stop.wait(SECONDS_OF_MISBEHAVIOUR)


def drop(conn: socket.socket, stop: threading.Event) -> None:
    """Close without a word."""


def cut_short(conn: socket.socket, stop: threading.Event) -> None:
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nok, but")


def garbage(conn: socket.socket, stop: threading.Event) -> None:
    conn.sendall(b"\x16\x03\x01\x00\x00 this is no HTTP\r\n\r\n")


def drip(start: bytes) -> Behaviour:
    """Send `start`, then a byte every 50 ms while anybody listens: no single read ever times out."""

    def behave(conn: socket.socket, stop: threading.Event) -> None:
        conn.sendall(start)
        ends = time.monotonic() + SECONDS_OF_MISBEHAVIOUR
        try:
            while not stop.wait(0.05) and time.monotonic() < ends:
                conn.sendall(b"x")
        except OSError:
            return

    return behave


drip_headers = drip(b"HTTP/1.1 200 OK\r\nX-Slow: ")
drip_body = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


class HttpServer:
    """Answers each request with the next of `script`, then with `otherwise`; `requests` is what it got."""

    def __init__(self, otherwise: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.otherwise = otherwise
        self._tls = tls
        self.script: list[Behaviour] = []
        self.requests: list[Request] = []
        self.finished = threading.Semaphore(0)
        self._stop = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(ssl.SSLError):  # from a client that does not trust us
                    outer._handle(self.rfile, self.connection)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def get_request(self) -> tuple[Any, Any]:
                conn, address = super().get_request()
                if tls is not None:
                    conn = tls.wrap_socket(conn, server_side=True, do_handshake_on_connect=False)
                return conn, address

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def port(self) -> int:
        return cast("int", self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def _handle(self, rfile: Any, conn: socket.socket) -> None:
        first = rfile.readline().decode("latin-1").split()
        if len(first) < 2:
            return
        headers: dict[str, str] = {}
        while (line := rfile.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.strip().title()] = value.strip()
        body = rfile.read(int(headers.get("Content-Length", "0")))
        self.requests.append(Request(first[0], first[1], headers, body))
        behave = self.script.pop(0) if self.script else self.otherwise
        try:
            behave(conn, self._stop)
        except OSError:
            pass
        finally:
            self.finished.release()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def http_server(otherwise: Behaviour | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[HttpServer]:
    server = HttpServer(otherwise or reply(200, "ok"), tls)
    try:
        yield server
    finally:
        server.close()
