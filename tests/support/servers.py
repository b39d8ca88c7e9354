"""Servers on loopback that misbehave on demand: one for HTTP, one for SMTP. Each records what it got."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


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


_LONG = 30
"""Seconds until a server that misbehaves gives in: longer than any time-out that a test sets."""


def hang(conn: socket.socket, stop: threading.Event) -> None:
    stop.wait(_LONG)


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
        ends = time.monotonic() + _LONG
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


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    content: bytes
    tls: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        return cast("EmailMessage", message_from_bytes(self.content, policy=policy.default))


@dataclass
class SmtpServer:
    """`recipients` and `data` script the answers: an address to its answer, and the answers to successive mails."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    attempts: int = 0
    recipients: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    sender: str = "250 OK"
    login: tuple[str, str] | None = None
    login_answer: str | None = None
    hang_at: str | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        envelope.mail_from = address
        return self.sender

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hang_at == "data":
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LONG)
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer == "drop":
            assert server.transport is not None
            server.transport.abort()
            return ""
        if answer.startswith("2"):
            mail = Mail(
                str(envelope.mail_from),
                list(envelope.rcpt_tos),
                cast("bytes", envelope.content),
                session.ssl is not None,
                str(session.auth_data) if session.authenticated else None,
            )
            self.mails.append(mail)
        return answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: Any
    ) -> AuthResult:
        if self.login_answer:
            return AuthResult(success=False, handled=False, message=self.login_answer)
        given = cast("LoginPassword", auth_data)
        good = self.login == (given.login.decode(), given.password.decode())
        return AuthResult(success=good, handled=False, auth_data=given.login.decode())


@contextmanager
def smtp_server(*, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> Iterator[SmtpServer]:
    """An SMTP server; with `tls` it wants STARTTLS, with `login` AUTH."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    async def start() -> tuple[SmtpServer, asyncio.Server]:
        handler = SmtpServer(login=login)

        def protocol() -> SMTP:
            with warnings.catch_warnings(action="ignore"):  # it warns of AUTH without TLS, which some tests want
                return SMTP(
                    handler,
                    hostname="localhost",
                    tls_context=tls,
                    require_starttls=tls is not None,
                    auth_required=login is not None,
                    auth_require_tls=tls is not None,
                    authenticator=handler.authenticate if login else None,
                    loop=loop,
                )

        server = await loop.create_server(protocol, "127.0.0.1", 0)
        handler.port = server.sockets[0].getsockname()[1]
        return handler, server

    async def stop(handler: SmtpServer, server: asyncio.Server) -> None:
        handler._stop.set()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    handler, server = call(start())
    try:
        yield handler
    finally:
        call(stop(handler, server))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def talker(*lines: bytes, hang_after: bool = True) -> Iterator[int]:
    """A server that says its lines, one per line it hears, whatever it hears; yields its port."""
    stop = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in lines:
                self.wfile.write(line)
                if not self.rfile.readline():
                    return
            if hang_after:
                stop.wait(_LONG)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cast("int", server.server_address[1])
        finally:
            stop.set()
            server.shutdown()
            thread.join()


def make_certificate(directory: Path) -> Path:
    """A self-signed certificate and key for localhost and 127.0.0.1, in one PEM file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_tls(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
