"""Checks of what is under way: events that wait to be judged, watchers, deliveries that wait to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, listed, ok, warning, wrong

ALIVE = timedelta(seconds=15)
"""A watcher writes its heartbeat each 5 s."""

_UNJUDGED = timedelta(minutes=1)
_WAITING = timedelta(minutes=1)
_STUCK = timedelta(minutes=5)

_START = (
    "start one: `airflow jobmon listen`, or a triggerer with the DAG on the alerts asset (dags/jobmon_alerts.py) "
    "unpaused"
)


def watchers(patient: Patient) -> Iterator[Diagnosis]:
    known = patient.ask("watchers")
    alive = [row for row in known if row.silent <= ALIVE]
    patient.delivering = [f"listen on {row.host}" for row in alive if row.delivers]
    if not alive:
        last = f"; the last was {_named(known[0])}, {roughly(known[0].silent)} ago" if known else ""
        yield wrong(f"nobody watches: no watcher has given a sign of life in the last {roughly(ALIVE)}{last}", _START)
        return
    deaf = [row for row in alive if not row.listens]
    if deaf:
        yield warning(
            f"NOTIFY does not reach {listed(map(_named, deaf), 3)}: it looks once a second instead",
            "give its connection the primary itself, or a pooler in session mode",
        )
    if len(deaf) < len(alive):
        yield ok(f"alive: {listed((_named(row) for row in alive if row.listens), 3)}")


def events(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask_one("events")
    count = "1000 failed runs or more" if found.waiting >= 1000 else counted(found.waiting, "failed run")
    if found.oldest is not None and found.oldest > _UNJUDGED:
        yield wrong(
            f"{count} noted and judged by nobody, the oldest {roughly(found.oldest)} ago",
            f"{_START}; to judge them now: `airflow jobmon check --record`",
        )
    else:
        yield ok(
            f"{count} to be judged, just noted" if found.waiting else "every failed run that was noted has been judged"
        )


def pending(patient: Patient) -> Iterator[Diagnosis]:
    waiting = patient.ask("pending")
    late = [row for row in waiting if row.oldest > _WAITING]
    if not late:
        yield ok("nothing has been waiting to be sent")
    for row in late:
        why = f"last error: {fit(one_line(row.error), 160)}" if row.error else "nobody has tried to send"
        say = wrong if row.oldest > _STUCK else warning
        yield say(
            f"{counted(row.waiting, 'alert')} not sent, the oldest for {roughly(row.oldest)}; {why}",
            f"correct connection {row.channel!r}; it is tried again by itself"
            if row.error
            else "see what is said of watchers, channels and the alerts DAG; to send now: `airflow jobmon deliver`",
            about=row.channel,
        )


def _named(row: object) -> str:
    kind, host, pid = (getattr(row, name) for name in ("kind", "host", "pid"))
    return f"{'a triggerer' if kind == 'trigger' else kind} on {host} (pid {pid})"
