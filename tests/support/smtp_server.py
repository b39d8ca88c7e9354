"""An SMTP server on loopback that misbehaves on demand and records the emails that it receives."""

from __future__ import annotations

import asyncio
import socketserver
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.http_server import SECONDS_OF_MISBEHAVIOUR


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
                await asyncio.wait_for(self._stop.wait(), SECONDS_OF_MISBEHAVIOUR)
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
                stop.wait(SECONDS_OF_MISBEHAVIOUR)

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
