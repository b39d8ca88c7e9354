"""What an HTTP response means for a message: accepted, try again (and when), or never."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.client import Response

_TEMPORARY = frozenset({408, 409, 423, 425, 429})
_NOT_PROCESSED = frozenset({425, 429, 503})
_LONGEST_WAIT = 86_400.0


def check_status(response: Response, *, advice: str) -> None:
    """Return for 2xx, else raise the DeliveryError that fits; `advice` says what to do where a retry cannot help.

    Only a response that says the request was not processed counts as a rejection: behind a 500 or a gateway's 504 the
    message may well have arrived.
    """
    if 200 <= response.status < 300:
        return
    if response.status >= 500 or response.status in _TEMPORARY:
        raise DeliveryError(
            response.summary, rejected=response.status in _NOT_PROCESSED, retry_after=retry_after(response)
        )
    if 300 <= response.status < 400:
        target = urlsplit(response.headers.get("Location", "")).hostname or "another address"
        raise PermanentDeliveryError(
            f"{response.host} answered {response.status} and redirects to {target}; alerts do not follow redirects: "
            "put the final address in the connection"
        )
    raise PermanentDeliveryError(f"{response.summary}; {advice}")


def retry_after(response: Response) -> float | None:
    """The seconds that Retry-After asks for, given in seconds or as an HTTP date; None without a readable one.

    A date counts from the server's own Date header, so a wrong clock on either side does not matter.
    """
    said = response.headers.get("Retry-After", "").strip()
    if not said:
        return None
    try:
        return min(max(float(said), 0.0), _LONGEST_WAIT) if _is_number(said) else _until(said, response)
    except (ValueError, TypeError, OverflowError):
        return None


def _is_number(said: str) -> bool:
    return said.replace(".", "", 1).isdigit() and said.isascii()


def _until(said: str, response: Response) -> float:
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, TypeError):
        now = datetime.now(UTC)
    at = parsedate_to_datetime(said)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT)
