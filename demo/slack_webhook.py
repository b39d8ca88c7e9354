"""What Slack's incoming webhook answers to a message: the same words, so that what works here works there."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

TOKEN = "T000DEMO0/B000DEMO0/not-a-secret-this-is-the-demo"
"""The one webhook that exists here; it stands in the demo's Slack connection as the password."""

MAX_BLOCKS = 50
_HEADER, _SECTION, _FIELD, _FIELDS, _BUTTON, _BUTTONS, _URL, _TEXT = 150, 3000, 2000, 10, 75, 25, 3000, 40_000


def answer(path: str, body: bytes, content_type: str) -> tuple[int, str, dict[str, Any] | None]:
    """HTTP status, text, and the message if it was taken."""
    if path != f"/services/{TOKEN}":
        return 404, "no_service", None
    payload = _read(body, content_type)
    if payload is None:
        return 400, "invalid_payload", None
    if not any(payload.get(part) for part in ("text", "blocks", "attachments")):
        return 400, "no_text", None
    if len(str(payload.get("text") or "")) > _TEXT:
        return 400, "msg_too_long", None
    if not _blocks_fit(payload.get("blocks") or []):
        return 400, "invalid_blocks", None
    return 200, "ok", payload


def _read(body: bytes, content_type: str) -> dict[str, Any] | None:
    try:
        text = body.decode()
        if content_type.startswith("application/x-www-form-urlencoded") and not text.lstrip().startswith("{"):
            text = parse_qs(text)["payload"][0]
        found = json.loads(text)
    except (ValueError, KeyError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _blocks_fit(blocks: Any) -> bool:
    """Whether the blocks have the shape and stay within the lengths that Slack documents."""
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
        return False
    try:
        return all(_block_fits(block) for block in blocks)
    except (KeyError, TypeError, AttributeError):
        return False


def _block_fits(block: dict[str, Any]) -> bool:
    kind = block["type"]
    if kind == "header":
        return block["text"]["type"] == "plain_text" and 0 < len(block["text"]["text"]) <= _HEADER
    if kind == "section":
        fields = block.get("fields", [])
        has_text = "text" in block and 0 < len(block["text"]["text"]) <= _SECTION
        has_fields = 0 < len(fields) <= _FIELDS and all(0 < len(field["text"]) <= _FIELD for field in fields)
        return (has_text or "text" not in block) and (has_fields or "fields" not in block) and (has_text or has_fields)
    if kind == "actions":
        buttons = block["elements"]
        return 0 < len(buttons) <= _BUTTONS and all(_button_fits(button) for button in buttons)
    if kind == "context":
        return 0 < len(block["elements"]) <= 10
    return kind in {"divider", "rich_text", "image"}


def _button_fits(button: dict[str, Any]) -> bool:
    return 0 < len(button["text"]["text"]) <= _BUTTON and len(button.get("url", "")) <= _URL
