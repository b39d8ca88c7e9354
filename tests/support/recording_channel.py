"""A channel in the test's process: it keeps what it is sent, and returns or raises what the test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from uuid import UUID

from airflow_jobmon.channels import Accepted
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report


class Recorder:
    """A channel that keeps what it is sent, and answers each sending as `answer` says."""

    def __init__(self, name: str, answer: Callable[[int], Accepted | Exception] = lambda _: Accepted()) -> None:
        self.name = name
        self.sent: list[tuple[UUID, list[str], Sequence[str] | None]] = []
        self.bodies: list[bytes] = []
        self._answer = answer
        self._lock = threading.Lock()

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        return json.dumps([f"{alert.event}:{alert.job_name}" for alert in alerts]).encode()

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        return json.dumps([f"{report.kind}:{report.title}"]).encode()

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:
        with self._lock:
            self.sent.append((key, json.loads(body), only))
            self.bodies.append(body)
            answer = self._answer(len(self.sent))
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def lines(self) -> list[str]:
        return [line for _, lines, _ in self.sent for line in lines]


def states(conn, channel: str) -> list[tuple[str, int]]:
    return conn.execute(
        "SELECT state, attempts FROM airflow_jobmon.deliveries WHERE channel = %s ORDER BY alert_id", [channel]
    ).fetchall()
