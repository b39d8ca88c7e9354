"""What an HTTP answer means for a message: accepted, try again (and when), or never."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from airflow_jobmon.errors import DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.client import Answer

_TEMPORARY = frozenset({408, 409, 423, 425, 429})
_NOTHING_WAS_DONE = frozenset({425, 429, 503})
_LONGEST_WAIT = 86_400.0


def check_status(answer: Answer, *, advice: str) -> None:
    """Nothing for 2xx, else the DeliveryError that fits; `advice` says what to do where trying again cannot help.

    Only an answer that says the request was not worked on counts as a rejection: behind a 500 or a gateway's 504 the
    message may well have arrived.
    """
    if 200 <= answer.status < 300:
        return
    if answer.status >= 500 or answer.status in _TEMPORARY:
        raise DeliveryError(
            answer.summary, rejected=answer.status in _NOTHING_WAS_DONE, retry_after=retry_after(answer)
        )
    if 300 <= answer.status < 400:
        target = urlsplit(answer.headers.get("Location", "")).hostname or "another address"
        raise PermanentDeliveryError(
            f"{answer.host} answered {answer.status} and points to {target}; alerts are not sent on: "
            "put the final address in the connection"
        )
    raise PermanentDeliveryError(f"{answer.summary}; {advice}")


def retry_after(answer: Answer) -> float | None:
    """Seconds to wait as Retry-After says, in seconds or as an HTTP date; None without one that can be read.

    A date is taken relative to the server's own Date, so that a wrong clock on either side does not matter.
    """
    said = answer.headers.get("Retry-After", "").strip()
    if not said:
        return None
    try:
        return min(max(float(said), 0.0), _LONGEST_WAIT) if _is_number(said) else _until(said, answer)
    except (ValueError, TypeError, OverflowError):
        return None


def _is_number(said: str) -> bool:
    return said.replace(".", "", 1).isdigit() and said.isascii()


def _until(said: str, answer: Answer) -> float:
    try:
        now = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError):
        now = datetime.now(UTC)
    at = parsedate_to_datetime(said)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT)
