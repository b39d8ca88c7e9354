"""Checks of how past days are counted once, so that statistics need not read the whole log each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.inactive_triggers import not_firing
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, ok, warning

_MARKING = ("airflow_jobmon_days_insert", "airflow_jobmon_days_update", "airflow_jobmon_days_delete")
_SLOW = "statistics count the others from the log each time, which is right but slow where it is long"
_SOON = timedelta(days=1)
"""How long after the installation nobody wonders that no day is counted yet."""


def change_triggers(patient: Patient) -> Iterator[Diagnosis]:
    silent = list(
        not_firing(
            patient,
            _MARKING,
            function="mark_days",
            so="changes to past days go unnoticed, so all days are counted from the log each time",
            say=warning,
        )
    )
    yield from silent or [ok("all three that notice changes to past days are on the job log and enabled")]


def counted_days(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask_one("sealing")
    through = found.sealed_through
    behind = (found.cold - through).days if through else None
    if through is None and found.installed < _SOON:
        yield ok(f"none yet, {roughly(found.installed)} after the installation; watchers count them bit by bit")
    elif behind is not None and behind <= 1:
        yield ok(f"counted from {found.sealed_from} through {through}; later days are still open")
    else:
        yield warning(
            f"no day is counted; {_SLOW}"
            if behind is None
            else f"counted through {through}, {counted(behind, 'day')} less than could be; {_SLOW}",
            _next_step(found),
        )


def _next_step(found: object) -> str:
    marked, held, pid, who, age = (getattr(found, name) for name in ("marked", "held", "pid", "who", "age"))
    if not marked:
        return "see what is said of change triggers; the days are then counted by themselves"
    if not held:
        return "watchers count them: start one, or run `airflow jobmon check --record`, which counts some"
    waits = "it waits for transactions that may have changed those days to end"
    if pid is None:
        return waits
    return f"{waits}; longest open: {who} ({roughly(age)}), end it by SELECT pg_terminate_backend({pid})"
