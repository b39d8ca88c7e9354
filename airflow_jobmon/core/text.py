"""Makes foreign text safe to show: masks secrets, shows invisible characters, and cuts between whole characters.

All of this comes before a sink's own escaping; the order is mask, show, cut, escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

ELLIPSIS = "…"
MASK = "***"

_LONGEST = 8_000
"""Characters of a text that are processed; no sink shows more, and the patterns stay cheap on a 1 MB error."""

_PORT = r"\d{1,5}(?:[/?#\s\"'<>,;:.)\]]|$)"
_USERINFO = re.compile(r"(?<=://)[^\s/?#@\"'<>]+(?=@)")
# A password may hold a raw slash or @, which ends the host part for a parser but not for the user who typed it.
_ODD_USERINFO = re.compile(rf"(?<=://)([^\s:/?#@\[]*):(?!{_PORT})\S*(?=@)")
# The log's text may have been cut inside a URL, before the @ that distinguishes a password from a port.
_CUT_USERINFO = re.compile(rf"(?<=://)([^\s:/?#@\[]*):(?!{_PORT})[^\s@]*$")
_QUERY_SECRET = re.compile(
    r"(?i)([?&;#](?:[\w.\-\[\]]*(?:token|secret|passw(?:or)?d|passwd|pwd|passphrase|api[_-]?key|access[_-]?key|signature"
    r"|credential|session|jwt)[\w.\-\[\]]*|key|sig|auth|code|sas|pass)=)[^\s&#\"'<>]+"
)
# A colon counts only behind a quoted key: "Unexpected token: }" is no secret.
_ASSIGNED_SECRET = re.compile(
    r"(?i)((?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|token)(?:[\"']?\s?=\s?|[\"']\s?:\s?))"
    r"(?:\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,;&\"'@]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,}")
_SECRET_PATH = re.compile(
    r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)"
    r"[^\s\"'<>]+"
)

_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
_JOINERS = frozenset("\u200c\u200d\u00ad")
_SPACES = re.compile(r"\s+")


def mask_secrets(text: str) -> str:
    """Replace passwords, tokens and keys in URLs and `password=` pairs with `***`; when in doubt, mask.

    User names stay (`postgres://app:***@host`), since they show which login failed.
    """
    text = text[:_LONGEST]
    if "://" in text:
        text = _USERINFO.sub(_mask_userinfo, text)
        text = _ODD_USERINFO.sub(rf"\1:{MASK}", text)
        text = _CUT_USERINFO.sub(rf"\1:{MASK}", text)
    text = _SECRET_PATH.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    if "=" in text or ":" in text:
        text = _QUERY_SECRET.sub(rf"\1{MASK}", text)
        text = _ASSIGNED_SECRET.sub(rf"\1{MASK}", text)
    return text


def _mask_userinfo(found: re.Match[str]) -> str:
    user, colon, _ = found[0].partition(":")
    return f"{user}:{MASK}" if colon else MASK  # a lone name may be a token: https://TOKEN@host


def show_invisible(text: str) -> str:
    r"""Show controls, bidi overrides, zero-width and unassigned characters as `\u202e`; newline and tab stay.

    Joiners and soft hyphens are dropped: they only shape neighbours, and are legitimate in emoji and Persian words.
    """
    if text.isprintable() and _INVISIBLE_LETTERS.isdisjoint(text):  # nearly always
        return text
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if " " <= char <= "~" or char in "\n\t":
        return char
    if char in _JOINERS:
        return ""
    if char in _INVISIBLE_LETTERS or unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}:
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return char


def paragraph(text: str) -> str:
    """Make text safe to show on several lines: masked, nothing invisible, newlines unified, at most one empty line."""
    text = mask_secrets(text).replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join(show_invisible(line) for line in text.replace("\t", "    ").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n ")


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Make text safe to show on one line: as `paragraph`, white space collapsed; processes `longest` characters."""
    return show_invisible(_SPACES.sub(" ", mask_secrets(text[:longest]))).strip()


def code_points(char: str) -> int:
    """The size of a character for sinks that count characters: two beyond the BMP, as in UTF-16."""
    return 2 if char > "\uffff" else 1


def fit(text: str, limit: int, size: Callable[[str], int] = code_points) -> str:
    """`text`, or as much of its beginning as fits into `limit` with an ellipsis.

    `size` is the size of a character once escaped, so that no entity is cut afterwards. A letter keeps its accents.
    """
    keep = _room_for(text, limit, size)
    if keep == len(text):
        return text
    if limit < size(ELLIPSIS):
        return ""
    start = keep
    while 0 < keep < len(text) and start - keep < 32 and unicodedata.combining(text[keep]):
        keep -= 1
    return text[:keep].rstrip() + ELLIPSIS


def _room_for(text: str, limit: int, size: Callable[[str], int]) -> int:
    """How many characters fit: all, or as many as leave room for an ellipsis."""
    if size is code_points and max(text[: limit + 1], default="") <= "\uffff":  # nearly always: no need to count
        return len(text) if len(text) <= limit else max(limit - 1, 0)
    room = limit - size(ELLIPSIS)
    used = keep = 0
    for index, char in enumerate(text):
        used += size(char)
        if used <= room:
            keep = index + 1
        elif used > limit:
            return keep
    return len(text)


def plain_json(value: str, limit: int) -> str:
    """Text for JSON: masked and cut, without the lone surrogates that strict JSON parsers refuse."""
    masked = fit(mask_secrets(value[: 2 * limit]), limit)
    return masked if masked.isascii() else masked.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def counted(number: int, noun: str, digits: str = "") -> str:
    """`1 alert`, `2 alerts`. digits: the format of the number; `,` groups thousands."""
    return f"{number:{digits}} {noun}{'' if number == 1 else 's'}"
