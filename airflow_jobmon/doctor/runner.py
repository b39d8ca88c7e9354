"""Runs the checks: each on its own, so that one that fails or hangs does not affect the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from airflow_jobmon.doctor import check_metadata_db
from airflow_jobmon.doctor.checks import AIRFLOW_CHECKS, DATABASE_CHECKS, Check, Need
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, CheckState, error_text, from_error, not_checked, wrong
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.settings import Settings

TIME_LIMIT = 5.0
"""Seconds after which unfinished checks are abandoned; all of them usually finish within one second."""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """results: in the order of the checks. abandoned: a check still hangs in a thread."""

    results: list[CheckResult]
    abandoned: bool


def run_all_checks(conn_id: str, settings: Settings, *, time_limit: float = TIME_LIMIT) -> DoctorReport:
    """Run every check and report its results; whatever is wrong is a result, not an exception."""
    check_metadata_db.load_models()
    installation = CheckedInstallation(conn_id, settings)
    database = CheckThread(DATABASE_CHECKS, installation, timed_out=lambda seconds: _no_answer(installation, seconds))
    airflow = CheckThread(AIRFLOW_CHECKS, installation, timed_out=_no_answer_from_airflow)
    began = time.monotonic()
    database.start()
    airflow.start()
    database_results = database.results(time_limit, 0)
    elapsed = time.monotonic() - began
    airflow_results = airflow.results(time_limit - elapsed, elapsed)
    if not database.is_alive():
        installation.close()
    return DoctorReport(
        database_results + downgrade_wrong(airflow_results, installation.delivering),
        abandoned=database.is_alive() or airflow.is_alive(),
    )


class CheckThread(threading.Thread):
    """Runs some checks one after the other in a thread, which is abandoned if one of them hangs."""

    def __init__(
        self, checks: Sequence[Check], installation: CheckedInstallation, *, timed_out: Callable[[float], CheckResult]
    ) -> None:
        """`timed_out` makes the result of a check that did not finish within so many seconds."""
        super().__init__(name="jobmon-doctor", daemon=True)
        self._checks = checks
        self._installation = installation
        self._timed_out = timed_out
        self._finished: list[list[CheckResult]] = []

    def run(self) -> None:
        for check in self._checks:
            self._finished.append(run_check(check, self._installation))

    def results(self, time_limit: float, elapsed: float) -> list[CheckResult]:
        """Wait at most `time_limit` more seconds, after `elapsed` seconds, and return the results so far."""
        self.join(max(time_limit, 0))
        finished = list(self._finished)
        results = [result for of_one_check in finished for result in of_one_check]
        unfinished = self._checks[len(finished) :]
        if unfinished:
            hanging, *skipped = unfinished
            results.append(replace(self._timed_out(max(time_limit, 0) + elapsed), check=hanging.name))
            results += [replace(not_checked(f"{hanging.name!r} did not finish"), check=check.name) for check in skipped]
        return results


def run_check(check: Check, installation: CheckedInstallation) -> list[CheckResult]:
    """The results of one check; never raises."""
    return [replace(result, check=check.name) for result in _run(check, installation)]


def _run(check: Check, installation: CheckedInstallation) -> list[CheckResult]:
    if not _is_met(check.needs, installation):
        return [not_checked(check.needs.value)]
    try:
        return list(check.function(installation))
    except JobmonError as error:
        return [from_error(error)]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks still report
        return [wrong(f"could not be checked: {error_text(error)}", check.advice)]


def _is_met(need: Need, installation: CheckedInstallation) -> bool:
    return {
        Need.NOTHING: True,
        Need.CONNECTION: installation.conn is not None,
        Need.SCHEMA: installation.migrated,
        Need.LOG: installation.log is not None,
        Need.METADATA: installation.metadata,
    }[need]


def downgrade_wrong(results: Iterable[CheckResult], delivering: Sequence[str]) -> list[CheckResult]:
    """Airflow's results, where `wrong` becomes a warning if other processes deliver the alerts."""
    if not delivering:
        return list(results)
    note = f" (meanwhile, alerts are delivered by {' and '.join(delivering)})"
    return [
        replace(result, state=CheckState.WARNING, seen=result.seen + note)
        if result.state is CheckState.WRONG
        else result
        for result in results
    ]


def _no_answer(installation: CheckedInstallation, seconds: float) -> CheckResult:
    if installation.conninfo is None:
        return wrong(
            f"connection {installation.conn_id!r} was not found within {seconds:.0f} s: Airflow's metadata database or "
            "the secrets backend that stores it does not respond",
            f"repair that; until then, set the connection as AIRFLOW_CONN_{installation.conn_id.upper()}",
        )
    return wrong(
        f"no response within {seconds:.0f} s",
        "check the load of the server and the network to it, then run the doctor again",
    )


def _no_answer_from_airflow(seconds: float) -> CheckResult:
    return not_checked(
        f"no response from Airflow's metadata database within {seconds:.0f} s", check_metadata_db.RUN_ELSEWHERE
    )
