"""A watcher and a deliverer at work in a thread, as `airflow jobmon listen` has them, and servers behind channels."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_jobmon.channels import Channel
from airflow_jobmon.delivery.service import DeliveryService
from airflow_jobmon.monitoring.watcher import Watcher
from airflow_jobmon.settings import Settings
from tests.support.http_server import HttpServer, http_server, reply
from tests.support.running_watchers import target_of
from tests.support.smtp_server import SmtpServer, smtp_server
from tests.support.wait_until import wait_until


@contextmanager
def watching(conninfo: str, settings: Settings, channels: Mapping[str, Channel]) -> Iterator[Watcher]:
    """Until the block ends, failures are evaluated and delivered."""
    watcher = Watcher(target_of(conninfo, settings), kind="listen", delivers=True)
    service = DeliveryService(conninfo, channels, prepare=lambda: watcher.status.listens)
    loop = asyncio.new_event_loop()

    async def follow() -> None:
        async for _ in watcher.alerts_due():
            service.wake()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    service.start()
    task = loop.create_task(follow())
    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: watcher.status.connected, "the watcher to watch")
        yield watcher
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        service.stop(20)


@dataclass(frozen=True)
class Sinks:
    """The servers behind the channels `slack`, `mail` and `hook`."""

    slack: HttpServer
    mail: SmtpServer
    hook: HttpServer

    def connections(self) -> dict[str, dict[str, Any]]:
        mail = {"disable_ssl": True, "disable_tls": True, "to": ["oncall@example.com"], "from_email": "j@example.com"}
        return {
            "slack": {"conn_type": "slackwebhook", "host": f"{self.slack.url}/services", "password": "T0/B0/secret"},
            "mail": {"conn_type": "smtp", "host": "127.0.0.1", "port": self.mail.port, "extra": mail},
            "hook": {"conn_type": "http", "host": self.hook.url},
        }


@contextmanager
def sinks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sinks]:
    """Three servers, and Airflow connections that lead there."""
    with http_server(reply(200, "ok")) as slack, smtp_server() as mail, http_server(reply(200)) as hook:
        found = Sinks(slack, mail, hook)
        for name, fields in found.connections().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))
        yield found
