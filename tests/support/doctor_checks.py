"""The doctor's checks of a database, run one by one in the test's own thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_jobmon.doctor.checks import DATABASE_CHECKS
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, CheckState
from airflow_jobmon.doctor.runner import run_check
from airflow_jobmon.settings import Settings

_DEFAULT = Settings()

NOT_OK_IN_TESTS = {"watchers", "channels", "prepared transactions"}
"""Checks that are never ok in these tests: no process watches, no channel is set, transactions can be prepared."""


class CheckResults(dict[str, list[CheckResult]]):
    """The results, by check."""

    def only(self, check: str) -> CheckResult:
        [result] = self[check]
        return result

    def not_ok(self) -> set[str]:
        """The checks with a wrong or a warning."""
        bad = {CheckState.WRONG, CheckState.WARNING}
        return {check for check, results in self.items() if bad & {result.state for result in results}}


def connection_to(conninfo: str) -> str:
    """The Airflow connection, as an environment variable holds it, that leads where a conninfo leads."""
    fields = dict(conninfo_to_dict(conninfo))
    named = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}
    given = {ours: fields.pop(theirs, None) for ours, theirs in named.items()}
    return json.dumps({"conn_type": "postgres", **given, "port": int(str(given["port"])), "extra": fields})


@contextmanager
def installation_at(conninfo: str, settings: Settings = _DEFAULT) -> Iterator[CheckedInstallation]:
    """An installation whose connection has this conninfo."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_JOBMON_DEFAULT", connection_to(conninfo))
        installation = CheckedInstallation("jobmon_default", settings)
        try:
            yield installation
        finally:
            installation.close()


def run_database_checks(conninfo: str, settings: Settings = _DEFAULT) -> CheckResults:
    """The results of every check of a database, each asserted to be well formed."""
    found = CheckResults()
    with installation_at(conninfo, settings) as installation:
        for check in DATABASE_CHECKS:
            found[check.name] = run_check(check, installation)
    for results in found.values():
        for result in results:
            assert_well_formed(result)
    return found


def assert_well_formed(result: CheckResult) -> None:
    """One line each of what was seen and of advice, which only a good result may lack."""
    print(f"{result.state} | {result.check} {result.about} | {result.seen} | {result.advice}")  # noqa: T201 - shown if a test fails
    assert result.seen
    assert "\n" not in result.seen + result.advice
    assert result.advice or result.state in {CheckState.OK, CheckState.NOT_CHECKED}
