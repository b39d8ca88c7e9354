"""Alerts as an email: a subject, an HTML part with everything inline, and a self-contained text part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, parseaddr
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any
from uuid import UUID

from jinja2 import Environment, StrictUndefined, Template

from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.rendering import messages
from airflow_jobmon.core.text import fit
from airflow_jobmon.errors import ConfigurationError

_SUBJECT = 200
_LINES_BYTES = 45_000
"""Bytes that the texts of a batch may use in HTML, escaped and in UTF-8: Gmail cuts a message at 102 kB."""


@dataclass(frozen=True, slots=True)
class EmailContent:
    """What every way of sending email needs."""

    subject: str
    html: str
    text: str


def alert_email(alerts: Sequence[Alert]) -> EmailContent:
    return EmailContent(
        safe_subject(messages.subject(alerts, _SUBJECT - 20)), _html(alerts), messages.plain_text(alerts) + "\n"
    )


def safe_subject(subject: str) -> str:
    """Cut it, and break up what a mail client would decode as an encoded word."""
    return fit(subject.replace("=?", "= ?"), _SUBJECT)


def alert_email_bytes(alerts: Sequence[Alert], *, key: UUID, sender: str, recipients: Sequence[str]) -> bytes:
    """The email about these alerts; its Date is that of the newest."""
    newest = max(alert.at for alert in alerts)
    return email_bytes(alert_email(alerts), at=newest, key=key, sender=sender, recipients=recipients)


def email_bytes(content: EmailContent, *, at: datetime, key: UUID, sender: str, recipients: Sequence[str]) -> bytes:
    """A complete RFC 5322 message, identical each time it is rendered: Message-ID and boundary come from `key`.

    Date is `at`, since the time of sending would differ between two renderings.
    """
    headers = {
        "Subject": _encoded_subject(content.subject),
        "From": formataddr(parseaddr(sender)),
        "To": ",\r\n ".join(formataddr(parseaddr(recipient)) for recipient in recipients),
        "Date": format_datetime(at.astimezone(UTC).replace(microsecond=0)),
        "Message-ID": f"<{key}@{domain_of(sender)}>",
        "Auto-Submitted": "auto-generated",  # asks out-of-office replies to stay away
        "X-Auto-Response-Suppress": "All",
    }
    mail = EmailMessage(policy=SMTP)
    mail.set_content(content.text, cte="base64")
    mail.add_alternative(content.html, subtype="html", cte="base64")
    mail.set_boundary("=_" + hashlib.sha256(key.bytes).hexdigest()[:32])
    # Headers by hand: EmailMessage folds a long subject behind a leading blank, and decodes =?...?= in a name.
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii") + mail.as_bytes()


def _encoded_subject(subject: str) -> str:
    """Unchanged if plain ASCII, else as encoded words (RFC 2047) of legal length, one per line."""
    if subject.isascii():
        return subject
    return Header(subject, "utf-8", maxlinelen=75, header_name="Subject").encode(linesep="\r\n")


def domain_of(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2]


def read_addresses(value: Any, *, where: str, field: str) -> tuple[str, ...]:
    """Recipients from an extra: a list, or one string with commas or semicolons.

    Raises ConfigurationError, naming `where` (a connection) and `field`, for no address or an invalid one.
    """
    listed = value.replace(";", ",").split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(item, str) for item in listed):
        listed = []
    addresses = tuple(dict.fromkeys(item.strip() for item in listed if item.strip()))
    if not addresses:
        raise ConfigurationError(
            f"{where} has no {field!r}; add it to the extra, like "
            f'{{"{field}": ["oncall@example.com"]}} or "{field}": "a@example.com, b@example.com"'
        )
    for address in addresses:
        read_sender(address, where=where, field=field)
    return addresses


def read_sender(value: Any, *, where: str, field: str) -> str:
    """One address, with or without a name before it; ASCII only, since some servers accept nothing else."""
    sender = value.strip() if isinstance(value, str) else ""
    if not sender:
        raise ConfigurationError(
            f'{where} has no {field!r}; add it to the extra, like {{"{field}": "alerts@example.com"}}'
        )
    found = getaddresses([sender])
    address = found[0][1] if len(found) == 1 else ""
    try:
        parsed = Address(addr_spec=address)
        good = bool(parsed.username) and bool(parsed.domain) and address.isascii() and sender.isprintable()
    except (ValueError, IndexError, MessageError):
        good = False
    if not good:
        raise ConfigurationError(
            f"{where}: {field!r} is {sender[:80]!r}, which is not a valid email address; correct it"
        )
    return sender


def _html(alerts: Sequence[Alert]) -> str:
    context = _one(alerts[0]) if len(alerts) == 1 else _many(alerts)
    tone = tone_of(messages.mark_of(alerts))
    return str(html_template("email.html.jinja").render(title=messages.title(alerts, _SUBJECT), tone=tone, **context))


def _one(alert: Alert) -> dict[str, Any]:
    return {
        "statement": fit(messages.statement(alert), 1_500),
        "error": fit(messages.error_of(alert), 8_000),
        "rows": [
            ("Job Name", messages.name_of(alert)),
            ("Time", messages.moment(alert.at)),
            *((label, fit(value, 500)) for label, value in messages.facts_of(alert)),
        ],
        "buttons": messages.links_of(alert),
        "at": alert.at.astimezone(UTC),
    }


def _many(alerts: Sequence[Alert]) -> dict[str, Any]:
    shown, jobs = messages.batch_lines(alerts, messages.MOST_LINES)
    room = min(_LINES_BYTES // len(shown), 1_000)
    return {
        "lines": [_fitted(line, room) for line in shown],
        "more": jobs - len(shown),
        "at": max(alert.at for alert in alerts).astimezone(UTC),
    }


def _fitted(line: messages.BatchLine, room: int) -> messages.BatchLine:
    """A line of at most `room` bytes of HTML: half for the statement, the rest for the name and, if short, its link."""
    link = line.link if line.link and len(escape(line.link)) <= room // 4 else None
    name = fit(line.name, room // 4 if link else room // 2, _html_bytes)
    return messages.BatchLine(line.mark, name, fit(line.text, room // 2, _html_bytes), link)


def _html_bytes(char: str) -> int:
    return len(escape(char).encode("utf-8", "replace"))


def tone_of(mark: str) -> str:
    """The colour of the band at the top."""
    return {messages.GOOD_MARK: "#1a7f4b", messages.WARNING_MARK: "#b35c00"}.get(mark, "#c02636")


@cache
def html_template(name: str) -> Template:
    """A template beside this file; its values are escaped."""
    source = files("airflow_jobmon.channels").joinpath(name).read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
