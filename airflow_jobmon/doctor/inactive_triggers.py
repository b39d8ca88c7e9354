"""Triggers of ours on the job log that do not fire for ordinary rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, listed

_STATES = {
    None: "is missing",
    "D": "is disabled",
    "R": "fires for replicated rows only (ENABLE REPLICA TRIGGER)",
}


def not_firing(
    patient: Patient, names: Sequence[str], *, function: str, so: str, say: Callable[[str, str], Diagnosis]
) -> Iterator[Diagnosis]:
    """What is to be said of these triggers, which call `function`; nothing if all fire. so: what follows from it."""
    silent = patient.ask("triggers", names=list(names), function=function)
    for enabled, what in _STATES.items():
        found = [row for row in silent if row.enabled == enabled]
        if found:
            listing = listed((f"{row.trigger} on {row.relation}" for row in found), most=2)
            yield say(
                f"trigger {what}: {listing}; {so}",
                "run `airflow jobmon migrate` as the table's owner"
                if enabled is None
                else f"ALTER TABLE {found[0].relation} ENABLE TRIGGER {found[0].trigger} (each of them)",
            )
