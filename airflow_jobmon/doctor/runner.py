"""Makes the checks: each on its own, so that one that fails or hangs costs no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, State, explained, not_checked, reason, wrong
from airflow_jobmon.errors import JobmonError


class Need(Enum):
    """What must have been reached before a check makes sense; the value says what is lacking."""

    NOTHING = ""
    CONNECTION = "needs a connection to the job log's database"
    SCHEMA = "needs a migrated database"
    LOG = "needs the job log's table"
    METADATA = "needs Airflow's metadata database"


Look = Callable[[Patient], Iterable[Diagnosis]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at. `advice`: what to do where the check itself breaks."""

    name: str
    look: Look
    needs: Need = Need.NOTHING
    advice: str = "repair that, then run the doctor again"


@dataclass(frozen=True, slots=True)
class Result:
    check: str
    diagnosis: Diagnosis


class Round(threading.Thread):
    """Some checks, one after the other in a thread of their own, which may be left behind where one of them hangs."""

    def __init__(self, checks: Sequence[Check], patient: Patient, *, silent: Callable[[float], Diagnosis]) -> None:
        """`silent`: what to say of a check that has not answered within so many seconds."""
        super().__init__(name="jobmon-doctor", daemon=True)
        self._checks = checks
        self._patient = patient
        self._silent = silent
        self._made: list[list[Result]] = []

    def run(self) -> None:
        for check in self._checks:
            self._made.append(make(check, self._patient))

    def results(self, patience: float, waited: float) -> list[Result]:
        """Wait at most `patience` more seconds, after `waited` that are over, for what there is to be seen."""
        self.join(max(patience, 0))
        made = list(self._made)
        results = [result for rows in made for result in rows]
        left = self._checks[len(made) :]
        if left:
            results.append(Result(left[0].name, self._silent(max(patience, 0) + waited)))
            results += [Result(check.name, not_checked(f"{left[0].name!r} did not end")) for check in left[1:]]
        return results


def make(check: Check, patient: Patient) -> list[Result]:
    """One check's results; never raises."""
    if lacking := _lacking(check.needs, patient):
        return [Result(check.name, not_checked(lacking))]
    try:
        diagnoses = list(check.look(patient))
    except JobmonError as error:
        diagnoses = [explained(error)]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks still say what they see
        diagnoses = [wrong(f"could not be checked: {reason(error)}", check.advice)]
    return [Result(check.name, diagnosis) for diagnosis in diagnoses]


def _lacking(need: Need, patient: Patient) -> str:
    reached = {
        Need.NOTHING: True,
        Need.CONNECTION: patient.conn is not None,
        Need.SCHEMA: patient.migrated,
        Need.LOG: patient.log is not None,
        Need.METADATA: patient.metadata,
    }
    return "" if reached[need] else str(need.value)


def softened(results: Iterable[Result], delivering: Sequence[str]) -> list[Result]:
    """Airflow's side where processes deliver without it: what is wrong there is no more than a warning."""
    who = " and ".join(delivering)
    return [
        replace(
            result,
            diagnosis=replace(
                result.diagnosis,
                state=State.WARNING,
                seen=f"{result.diagnosis.seen} (alerts are delivered meanwhile by {who})",
            ),
        )
        if delivering and result.diagnosis.state is State.WRONG
        else result
        for result in results
    ]
