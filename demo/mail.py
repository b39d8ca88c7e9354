"""An email as it came over SMTP, taken apart for reading."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

SHOWN_HEADERS = 40


def read_email(raw: bytes, recipients: list[str]) -> dict[str, Any]:
    """JSON-native parts of an email; what cannot be read is shown as far as it can, and never raises."""
    message = message_from_bytes(raw, policy=policy.default)
    return {
        "subject": _header(message, "subject"),
        "from": _header(message, "from"),
        "to": _header(message, "to"),
        "recipients": recipients,
        "headers": [[name, _header(message, name)] for name in list(dict.fromkeys(message.keys()))[:SHOWN_HEADERS]],
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
    }


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (ValueError, IndexError, AttributeError):  # the header parser trips over some hostile headers
        return "(unreadable)"


def _part(message: EmailMessage, subtype: str) -> str | None:
    try:
        part = message.get_body((subtype,))
        content = None if part is None else part.get_content()
    except (LookupError, ValueError, AttributeError):
        return "(unreadable)"
    return content if isinstance(content, str) else None


def page_of_email(html: str) -> str:
    """The HTML part for a frame whose response headers forbid scripts; links open outside of the frame."""
    base = '<base target="_blank">'
    with_base, replaced = re.subn(r"(?i)<head(\s[^>]*)?>", lambda found: found.group(0) + base, html, count=1)
    return with_base if replaced else f"<!doctype html>{base}{html}"
