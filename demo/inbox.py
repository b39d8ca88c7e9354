"""The demo's inbox: emulates Slack's incoming webhook and a mail server, and shows the messages in a browser.

Everything received is untrusted text: it is stored as data, sent to the page as JSON, and an email's HTML is
served under a policy that lets nothing in it run or load.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from demo import slack_webhook
from demo.inbox_reader import Expected
from demo.mail import page_of_email, read_email
from demo.ports import free_port
from demo.preconditions import CannotStart, check_port, parse_port, refuse_equal_ports

KEPT, LARGEST = 2000, 5_000_000
"""How many messages are remembered, and how many bytes one may have."""

COARSE = 2.0
"""Seconds below which a delay says nothing where its start is known to the second: half of it may be rounding."""

PAGE = Path(__file__).with_name("inbox_page")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/inbox.css": ("inbox.css", "text/css; charset=utf-8"),
    "/inbox.js": ("inbox.js", "text/javascript; charset=utf-8"),
}
_PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'"
_EMAIL_POLICY = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
)
_MOMENT = re.compile(r"\bTime\W{1,12}(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")


class Inbox:
    """A webhook, a mail server and a page on loopback; port 0 takes a free one. Use `start` and `stop`, or `with`."""

    def __init__(self, http_port: int = 0, smtp_port: int = 0) -> None:
        self._received: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self._arrived = threading.Condition()
        self._moments: dict[tuple[str, Expected], set[float]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", http_port), partial(_Handler, self))
        self._http.daemon_threads = True
        smtp_port = smtp_port or free_port()  # it cannot take 0 itself
        self._smtp = Controller(_Mailbox(self), hostname="127.0.0.1", port=smtp_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def webhook_host(self) -> str:
        """The `host` of a Slack webhook connection; its password is `slack_webhook.TOKEN`."""
        return f"{self.url}/services"

    @property
    def smtp_port(self) -> int:
        return int(self._smtp.port)

    def start(self) -> None:
        self._smtp.start()
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._smtp.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self, sink: str, content: dict[str, Any], text: str) -> None:
        """Store one message; the value after `Time` in its `text` is the moment it is about."""
        now = time.time()
        with self._arrived:
            self._count += 1
            self._received.append(
                {
                    "id": self._count,
                    "sink": sink,
                    "received_at": _iso(now),
                    "received": now,
                    "moment": found[1] if (found := _MOMENT.search(text)) else None,
                    **content,
                }
            )
            self._arrived.notify_all()

    def received(self, after: int = 0) -> list[dict[str, Any]]:
        """Messages with an id above `after`, oldest first; `seconds` is how long after its moment each came."""
        with self._arrived:
            return [
                {**message, "seconds": self._seconds_after(message)}
                for message in self._received
                if message["id"] > after
            ]

    def happened(self, what: Expected, at: datetime) -> None:
        """This happened at this very moment; messages name it to the second, which is too coarse to measure by."""
        with self._arrived:
            self._moments.setdefault((_iso(at.timestamp(), "seconds"), what), set()).add(at.timestamp())

    def _seconds_after(self, message: dict[str, Any]) -> float | None:
        if message["moment"] is None:
            return None
        moments = self._moments_of(message)
        exact = len(moments) == 1 or "." in message["moment"]
        try:
            moment = moments.pop() if len(moments) == 1 else datetime.fromisoformat(message["moment"]).timestamp()
        except ValueError:
            return None
        seconds = message["received"] - moment
        return round(seconds, 3) if (-1 if exact else COARSE) <= seconds < 86400 else None

    def _moments_of(self, message: dict[str, Any]) -> set[float]:
        """Exact moments that the message may be about; several if the same happened twice in that second."""
        return {
            moment
            for (second, what), moments in self._moments.items()
            if second == message["moment"] and what.is_met_by(message)
            for moment in moments
        }

    def email_html(self, number: int) -> str | None:
        with self._arrived:
            return next((message.get("html") for message in self._received if message["id"] == number), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo-inbox"
    sys_version = ""
    wbufsize = 65536  # one write for header and body: two would make the sender wait 40 ms for an acknowledgement
    timeout = 60

    def __init__(self, inbox: Inbox, *args: Any) -> None:
        self._inbox = inbox
        super().__init__(*args)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            self.close_connection = True
            self._answer(400, "invalid_payload")
            return
        body = self.rfile.read(int(length))
        status, text, payload = slack_webhook.answer(self.path, body, self.headers.get("Content-Type", ""))
        if payload is not None:
            self._inbox.take("slack", {"payload": payload}, str(payload.get("text")))
        self._answer(status, text)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        email = re.fullmatch(r"/email/(\d{1,9})", url.path)
        if url.path in _FILES:
            name, kind = _FILES[url.path]
            self._answer(200, (PAGE / name).read_text(), kind, _PAGE_POLICY)
        elif url.path == "/api/received":
            after = parse_qs(url.query).get("after", ["0"])[0]
            found = self._inbox.received(int(after) if after.isdecimal() else 0)
            self._answer(200, json.dumps({"now": time.time(), "received": found}), "application/json")
        elif email and (html := self._inbox.email_html(int(email[1]))) is not None:
            self._answer(200, page_of_email(html), "text/html; charset=utf-8", _EMAIL_POLICY)
        else:
            self._answer(404, "There is nothing here; the messages are at /")

    def _answer(self, status: int, text: str, kind: str = "text/plain; charset=utf-8", policy: str = "") -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", policy or "default-src 'none'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet: what arrives is on the page."""


class _Mailbox:
    """aiosmtpd's handler: takes every email for every address."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.original_content or b""
        content = read_email(raw, [str(recipient) for recipient in envelope.rcpt_tos])
        self._inbox.take("email", content, f"{content['text']}\n{content['html']}")
        return "250 OK: taken by the demo's inbox"


def _iso(moment: float, precision: str = "milliseconds") -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def main(arguments: Sequence[str]) -> int:
    """`python -m demo.inbox [HTTP_PORT [SMTP_PORT]]`: the inbox alone, until Ctrl-C."""
    try:
        http_port, smtp_port = _ports(arguments)
        inbox = Inbox(http_port, smtp_port)
        inbox.start()
    except (CannotStart, OSError) as problem:
        print(f"the inbox cannot start: {problem}", file=sys.stderr)
        return 2
    print(
        f"inbox {inbox.url}, webhook {inbox.webhook_host}/{slack_webhook.TOKEN}, SMTP port {inbox.smtp_port}",
        flush=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        inbox.stop()
    return 0


def _ports(arguments: Sequence[str]) -> tuple[int, int]:
    """Ports for HTTP and SMTP, 0 where a free one will do; raise CannotStart where one cannot be had."""
    if len(arguments) > 2:
        raise CannotStart(f"it takes two ports at most, and got {len(arguments)}: python -m demo.inbox 8025 1025")
    given = [*arguments, *["0"] * (2 - len(arguments))]
    http, smtp = (
        parse_port(text, name, lowest=0) for text, name in zip(given, ("HTTP_PORT", "SMTP_PORT"), strict=True)
    )
    refuse_equal_ports({"HTTP_PORT": http, "SMTP_PORT": smtp})
    check_port(http, "the page", "python -m demo.inbox ")
    check_port(smtp, "the mail server", f"python -m demo.inbox {http} ")
    return http, smtp


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
