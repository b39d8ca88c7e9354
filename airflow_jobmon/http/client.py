"""One HTTP request, sent once: bounded as a whole, no redirect to another host, no address in an error or a log.

Addresses are secrets here (a Slack webhook is its URL), so an error names the host only.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from airflow_jobmon import __version__
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.deadline import THREAD_NAME, Deadline, within

USER_AGENT = f"airflow-provider-jobmon/{__version__}"

_MOST_READ = 64 * 1024
_MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Response:
    """The server's response; header names are case-insensitive, the body is cut to 64 KiB."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def summary(self) -> str:
        """One line for an error message; the body is cut."""
        said = fit(one_line(self.body), 200)
        return f"{self.host} answered {self.status}" + (f": {said}" if said else "")


def open_session(*, proxy: str | None = None) -> requests.Session:
    """A session that honours the environment's proxies and CA bundle but never takes a login from ~/.netrc."""
    session = requests.Session()
    session.auth = _no_auth
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def post(session: requests.Session, url: str, body: bytes, *, headers: Mapping[str, str], timeout: float) -> Response:
    """Send `body` unchanged and return the response, whatever its status.

    Raises DeliveryError if no response arrives: `rejected` if no connection was made, not `rejected` once it was.
    """
    return _request(session, "POST", url, body, headers=headers, timeout=timeout)


def fetch(session: requests.Session, url: str, *, headers: Mapping[str, str], timeout: float) -> Response:
    """GET under the same rules as `post`; checks whether credentials work."""
    return _request(session, "GET", url, None, headers=headers, timeout=timeout)


def _request(
    session: requests.Session, method: str, url: str, body: bytes | None, *, headers: Mapping[str, str], timeout: float
) -> Response:
    host = urlsplit(url).hostname or "the server"
    _keep_addresses_out_of_the_log()

    def work(deadline: Deadline) -> Response:
        with session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _BoundedAdapter(deadline))
            sent_headers = {"User-Agent": USER_AGENT, **headers}
            return _ask(session, method, url, body=body, headers=sent_headers, deadline=deadline)

    return within(timeout, work, where=host)


def _ask(
    session: requests.Session, method: str, url: str, *, body: bytes | None, headers: dict[str, str], deadline: Deadline
) -> Response:
    host = urlsplit(url).hostname or "the server"
    try:
        for _ in range(_MOST_REDIRECTS):
            with session.request(
                method, url, data=body, headers=headers, timeout=deadline.remaining, allow_redirects=False, stream=True
            ) as response:
                received = Response(host, response.status_code, response.headers, _read(response, deadline))
            target = urljoin(url, received.headers.get("Location", ""))
            if received.status not in {307, 308} or _origin(target) != _origin(url):
                return received
            url = target  # the same server, one path further, such as a missing slash
        raise PermanentDeliveryError(f"{host} redirects in a loop; put its final address in the connection")
    except (requests.RequestException, OSError, ValueError) as error:
        if deadline.passed:
            raise TimeoutError from None
        # Never the exception's own text: it holds the whole address.
        if deadline.begun:
            raise DeliveryError(f"{host} closed the connection without a response ({_reason(error)})") from None
        raise DeliveryError(f"cannot connect to {host}: {_reason(error)}", rejected=True) from None


def _read(response: requests.Response, deadline: Deadline) -> str:
    """The start of the body; the status stands even if the rest never arrives."""
    read = b""
    try:
        for piece in response.iter_content(4096):
            read += piece
            if len(read) >= _MOST_READ or deadline.passed:
                break
    except (requests.RequestException, OSError):
        if response.ok:
            raise  # a truncated response does not prove acceptance
    return read[:_MOST_READ].decode("utf-8", "replace")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _reason(error: BaseException) -> str:
    """The cause without any address in it: from the operating system, from TLS, or the error's type."""
    found: BaseException | None = error
    seen: list[BaseException] = []
    while found is not None and found not in seen:
        seen.append(found)
        verify = getattr(found, "verify_message", None)
        if verify:
            return f"its certificate was refused: {verify}"
        if isinstance(found, OSError) and found.strerror and not isinstance(found, requests.RequestException):
            return found.strerror.removeprefix("[").rstrip("]").lower()
        inner = getattr(found, "reason", None) or next((a for a in found.args if isinstance(a, BaseException)), None)
        found = inner if isinstance(inner, BaseException) else found.__cause__ or found.__context__
    return type(seen[-1]).__name__


class _BoundedAdapter(HTTPAdapter):
    """No retries. Each connection reports to the deadline once made, and is shut down when the deadline passes."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(max_retries=0)
        self._deadline = deadline

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _bounded(pool.ConnectionCls, self._deadline)
        return pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)
        over_tls_to_proxy = conn.proxy is not None and conn.proxy.scheme == "https"  # which must be trusted as well
        if conn.ca_certs and not cert and not over_tls_to_proxy:
            conn.conn_kw["ssl_context"] = _trusting(conn.ca_certs, Path(conn.ca_certs).stat().st_mtime_ns)
            conn.ca_certs = None


@lru_cache(maxsize=4)
def _trusting(bundle: str, changed_at: int) -> ssl.SSLContext:  # noqa: ARG001 - part of the cache key: a changed bundle is read again
    """A TLS context that trusts this CA bundle; cached, since reading a bundle takes 30 ms."""
    context = create_urllib3_context()
    context.load_verify_locations(bundle)
    return context


def _bounded(connection_class: type[Any], deadline: Deadline) -> type[Any]:
    class Bounded(connection_class):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            sock = self.sock
            deadline.on_end(lambda: sock.shutdown(2))
            deadline.begin()

    return Bounded


def _without_our_addresses(record: logging.LogRecord) -> bool:  # noqa: ARG001 - the thread decides, not the record
    return threading.current_thread().name != THREAD_NAME


def _keep_addresses_out_of_the_log() -> None:
    """urllib3 logs every path at DEBUG; Airflow masks only what it knows to be secret."""
    logger = logging.getLogger("urllib3.connectionpool")
    if _without_our_addresses not in logger.filters:
        logger.addFilter(_without_our_addresses)
