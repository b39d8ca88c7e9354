"""HTTP and mail servers that receive a listener's alerts, and can hold back their answer."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.wait_until import wait_until


@dataclass(frozen=True)
class Arrival:
    """One message as a sink received it; `key` identifies a repeat of it, if it carries one."""

    body: bytes
    key: str | None
    jobs: tuple[str, ...]


class BlockingSink:
    """What arrived, and a gate before the answer: closed, it holds the sender back until it is opened."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.delay = 0.0
        self.arrivals: list[Arrival] = []

    @property
    def jobs(self) -> set[str]:
        return {job for arrival in self.arrivals for job in arrival.jobs}

    def until(self, arrivals: int) -> None:
        wait_until(lambda: len(self.arrivals) >= arrivals, f"arrival {arrivals} of {self.arrivals}")

    def until_received(self, jobs: Iterable[str]) -> None:
        wanted = set(jobs)
        wait_until(lambda: wanted <= self.jobs, f"{len(wanted)} jobs, of which {len(wanted & self.jobs)} came")

    def repeats(self) -> int:
        """How many messages arrived again. Fails if a job is in two messages that differ in any byte."""
        bodies_of: dict[str, set[bytes]] = defaultdict(set)
        keys: dict[bytes, set[str | None]] = defaultdict(set)
        for arrival in self.arrivals:
            keys[arrival.body].add(arrival.key)
            for job in arrival.jobs:
                bodies_of[job].add(arrival.body)
        assert {job: len(bodies) for job, bodies in bodies_of.items() if len(bodies) > 1} == {}
        assert [found for found in keys.values() if len(found) > 1] == []
        return sum(Counter(arrival.body for arrival in self.arrivals).values()) - len(keys)


class HttpSink(BlockingSink):
    """Slack's webhook and the JSON webhook; `ok` once the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = 65536  # headers and body in one write: two would cost the client 40 ms

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.arrivals.append(Arrival(body, self.headers["Idempotency-Key"], _jobs(json.loads(body))))
                while not (outer.gate.wait(0.05) or outer.gone.is_set()):
                    pass
                outer.gone.wait(outer.delay)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def finish(self) -> None:
                with suppress(OSError):  # the sender was killed
                    super().finish()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def _jobs(message: dict[str, object]) -> tuple[str, ...]:
    if "alerts" in message:
        return tuple(str(alert["job_name"]) for alert in message["alerts"])  # type: ignore[attr-defined]
    return _named(json.dumps(message))


def _named(text: str) -> tuple[str, ...]:
    """Job names of these tests: `load-` and a number."""
    return tuple(sorted(set(re.findall(r"load-\d+", text))))


@dataclass
class MailSink(BlockingSink):
    """A mail server."""

    port: int = 0
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        mail = message_from_bytes(content, policy=policy.default)
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        self.arrivals.append(Arrival(content, mail["Message-ID"], _named(text + mail["Subject"])))
        while not self.gate.is_set() and not self._gone.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.delay)
        return "250 OK"


@contextmanager
def http_sink() -> Iterator[HttpSink]:
    sink = HttpSink()
    thread = threading.Thread(target=sink.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sink
    finally:
        sink.gone.set()
        sink.server.shutdown()
        sink.server.server_close()
        thread.join()


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    sink = MailSink()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(sink, hostname="localhost", loop=loop), "127.0.0.1", 0)

    async def stop(server: asyncio.Server) -> None:
        sink._gone.set()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
