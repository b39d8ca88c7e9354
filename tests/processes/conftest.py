"""Real `listen` processes, their database, and the sinks that receive their alerts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.blocking_sinks import BlockingSink, HttpSink, MailSink, http_sink, mail_sink
from tests.support.listen_process import CommandForker, Listener, command_forker


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandForker]:
    with command_forker(tmp_path_factory.mktemp("listeners")) as found:
        yield found


@dataclass(frozen=True)
class Sinks:
    """One sink of each kind, by the name of its channel."""

    hook: HttpSink
    slack: HttpSink
    mail: MailSink

    @property
    def all(self) -> dict[str, BlockingSink]:
        return {"hook": self.hook, "slack": self.slack, "mail": self.mail}

    @property
    def environment(self) -> dict[str, str]:
        """The Airflow connections to these sinks, and the setting that lists them as channels."""
        connections: dict[str, dict[str, Any]] = {
            "hook": {"conn_type": "http", "host": self.hook.url},
            "slack": {"conn_type": "slackwebhook", "host": f"{self.slack.url}/services", "password": "T0/B0/x"},
            "mail": {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": self.mail.port,
                "extra": {
                    "disable_ssl": True,
                    "disable_tls": True,
                    "to": ["oncall@example.com"],
                    "from_email": "jobmon@example.com",
                },
            },
        }
        env = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()}
        return {**env, "AIRFLOW__JOBMON__CHANNELS": ",".join(connections)}


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    with http_sink() as hook, http_sink() as slack, mail_sink() as mail:
        yield Sinks(hook, slack, mail)


StartListener = Callable[..., Listener]


@pytest.fixture
def start_listener(forker: CommandForker, database: str, sinks: Sinks) -> Iterator[StartListener]:
    """Start a listener on this test's database; keyword arguments change its environment."""
    started: list[Listener] = []

    def start(conninfo: str = database, **env: str) -> Listener:
        fields = psycopg.conninfo.conninfo_to_dict(conninfo)
        uri = f"postgres://{fields['user']}@{fields['host']}:{fields['port']}/{fields['dbname']}"
        listener = forker.start(
            {**sinks.environment, "AIRFLOW_CONN_JOBMON_DEFAULT": uri, "AIRFLOW__JOBMON__SWEEP_INTERVAL": "2s", **env}
        )
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.kill()


@pytest.fixture
def expire_leases(conn: psycopg.Connection) -> Callable[[], None]:
    """Make all leases expire; call it only while no live listener holds one."""

    def expire() -> None:
        conn.execute(
            "UPDATE airflow_jobmon.messages SET leased_until = clock_timestamp() WHERE leased_until IS NOT NULL"
        )

    return expire
