"""The doctor's checks of a database, made one by one in the test's own thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_jobmon.doctor.checks import DATABASE
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, State
from airflow_jobmon.doctor.runner import make
from airflow_jobmon.settings import Settings

_DEFAULT = Settings()

NOBODY_AT_WORK = {"watchers", "channels", "prepared transactions"}
"""What is bad of every database in these tests: no process watches, no channel is set, transactions can be prepared."""


class Seen(dict[str, list[Diagnosis]]):
    """What the checks saw, by check."""

    def only(self, check: str) -> Diagnosis:
        [diagnosis] = self[check]
        return diagnosis

    def bad(self) -> set[str]:
        """Checks with something wrong or to be warned of."""
        troubled = {State.WRONG, State.WARNING}
        return {check for check, found in self.items() if troubled & {diagnosis.state for diagnosis in found}}


def connection_to(conninfo: str) -> str:
    """The Airflow connection, as an environment variable holds it, that leads where a conninfo leads."""
    fields = dict(conninfo_to_dict(conninfo))
    named = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}
    given = {ours: fields.pop(theirs, None) for ours, theirs in named.items()}
    return json.dumps({"conn_type": "postgres", **given, "port": int(str(given["port"])), "extra": fields})


@contextmanager
def reached(conninfo: str, settings: Settings = _DEFAULT) -> Iterator[Patient]:
    """A patient whose connection leads where a conninfo leads."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", connection_to(conninfo))
        patient = Patient("jobmon_default", settings)
        try:
            yield patient
        finally:
            patient.close()


def examined(conninfo: str, settings: Settings = _DEFAULT) -> Seen:
    """What every check of a database sees; holds what is said to the rules for what is said."""
    seen = Seen()
    with reached(conninfo, settings) as patient:
        for check in DATABASE:
            seen[check.name] = [result.diagnosis for result in make(check, patient)]
    for check, found in seen.items():
        for diagnosis in found:
            print(f"{diagnosis.state} | {check} {diagnosis.about} | {diagnosis.seen} | {diagnosis.advice}")  # noqa: T201 - shown where a test fails
            assert diagnosis.seen
            assert "\n" not in diagnosis.seen + diagnosis.advice
            assert diagnosis.advice or diagnosis.state in {State.OK, State.NOT_CHECKED}
    return seen
