"""A real Chromium, driven over its DevTools protocol: opens pages, reads what they show, and records their errors."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


def find_chromium() -> str:
    """Skips the test where there is none, except in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("CI"):
        pytest.fail("there is no chromium; `make extras` installs it")
    if found is None:
        pytest.skip("NOT TESTED: there is no chromium; `make extras` installs it")
    return found


class Tab:
    """A page. complaints: what its console said as warning or error, and requests of it that failed."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._last:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        if message["method"] == "Log.entryAdded" and given["entry"]["level"] in {"warning", "error"}:
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"])[:1000])
        elif message["method"] == "Runtime.consoleAPICalled" and given["type"] in {"warning", "error"}:
            self.complaints.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in given["args"]))

    def see(self, script: str) -> Any:
        """What a piece of JavaScript gives, in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, timeout: float = 30) -> Any:
        """Wait until a piece of JavaScript gives something true, and return that (for an element: True)."""
        script = f"(found => found?.nodeType ? true : found)({script})"
        deadline = time.monotonic() + timeout
        while True:
            answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
            if (found := answer.get("result", {}).get("value")) and "exceptionDetails" not in answer:
                return found
            assert time.monotonic() < deadline, f"{timeout:g} s for {script}; complaints: {self.complaints}"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def size(self, width: int, height: int, *, scale: float = 1, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    def prefer(self, scheme: str) -> None:
        """What the reader's system prefers, light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def set_cookie(self, url: str, name: str, value: str) -> None:
        self.call("Network.setCookie", url=url, name=name, value=value)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    def picture(self, *, whole: bool = False) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])


@contextmanager
def chromium(directory: Path) -> Iterator[Tab]:
    """One tab of a browser whose profile lives in `directory`."""
    command = [find_chromium(), *_QUIET, f"--user-data-dir={directory / 'profile'}", "--remote-debugging-port=0"]
    with (directory / "chromium.log").open("wb") as log:
        process = subprocess.Popen([*command, "about:blank"], stdout=log, stderr=log)
    try:
        with connect(_first_page(process, directory), max_size=None, compression=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(20)


def _first_page(process: subprocess.Popen[bytes], directory: Path) -> str:
    """The socket of its one tab."""
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    said = directory / "profile" / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, (directory / "chromium.log").read_text()
        try:
            port = said.read_text().split()[0]
            with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        except (OSError, IndexError):
            pass
        time.sleep(0.05)
    raise AssertionError("chromium did not start within a minute: " + (directory / "chromium.log").read_text())
