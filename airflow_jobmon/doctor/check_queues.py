"""Checks of work in progress: watchers, events that wait for evaluation, deliveries that wait to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, listed, ok, warning, wrong

ALIVE = timedelta(seconds=15)
"""A watcher writes its heartbeat every 5 s."""

_EVENT_OVERDUE = timedelta(minutes=1)
_DELIVERY_LATE = timedelta(minutes=1)
_DELIVERY_STUCK = timedelta(minutes=5)

_START = (
    "start one: `airflow jobmon listen`, or a triggerer with an unpaused DAG on the alerts asset "
    "(dags/jobmon_alerts.py)"
)


def watchers(installation: CheckedInstallation) -> Iterator[CheckResult]:
    known = installation.fetch_all("watchers")
    alive = [row for row in known if row.silent <= ALIVE]
    installation.delivering = [f"listen on {row.host}" for row in alive if row.delivers]
    if not alive:
        last = f"; the last was {_named(known[0])}, {roughly(known[0].silent)} ago" if known else ""
        yield wrong(f"no watcher has sent a heartbeat in the last {roughly(ALIVE)}{last}", _START)
        return
    polling = [row for row in alive if not row.listens]
    if polling:
        yield warning(
            f"NOTIFY does not reach {listed(map(_named, polling), 3)}: it polls once a second instead",
            "connect it to the primary directly, or through a pooler in session mode",
        )
    if len(polling) < len(alive):
        yield ok(f"alive: {listed((_named(row) for row in alive if row.listens), 3)}")


def events(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_one("waiting_events")
    count = "1000 failed runs or more" if found.waiting >= 1000 else counted(found.waiting, "failed run")
    if found.oldest is not None and found.oldest > _EVENT_OVERDUE:
        yield wrong(
            f"{count} recorded and not evaluated, the oldest {roughly(found.oldest)} ago",
            f"{_START}; to evaluate them now: `airflow jobmon check --record`",
        )
    else:
        yield ok(
            f"{count} just recorded, not yet evaluated"
            if found.waiting
            else "every recorded failed run has been evaluated"
        )


def deliveries(installation: CheckedInstallation) -> Iterator[CheckResult]:
    waiting = installation.fetch_all("pending_deliveries")
    late = [row for row in waiting if row.oldest > _DELIVERY_LATE]
    if not late:
        yield ok("no delivery is late")
    for row in late:
        why = f"last error: {fit(one_line(row.error), 160)}" if row.error else "no process has tried to send"
        result = wrong if row.oldest > _DELIVERY_STUCK else warning
        yield result(
            f"{counted(row.waiting, 'alert')} not sent, the oldest for {roughly(row.oldest)}; {why}",
            f"correct connection {row.channel!r}; delivery is retried automatically"
            if row.error
            else "see the checks of watchers, channels and the alerts DAG; to send now: `airflow jobmon deliver`",
            about=row.channel,
        )


def _named(watcher: Any) -> str:
    kind = "a triggerer" if watcher.kind == "trigger" else watcher.kind
    return f"{kind} on {watcher.host} (pid {watcher.pid})"
