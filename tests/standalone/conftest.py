"""One running Airflow for all tests here, and measured seconds, shown at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from psycopg import Connection

from tests.support.running_airflow import RunningAirflow, running_airflow

_measured: list[tuple[str, float]] = []

Measure = Callable[[str, float], None]


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    began = monotonic()
    with running_airflow(tmp_path_factory.mktemp("standalone")) as found:
        _measured.append(("airflow standalone: start to watching", monotonic() - began))
        yield found


@pytest.fixture
def jobs(airflow: RunningAirflow) -> Iterator[Connection]:
    """A connection to the database that the running Airflow watches."""
    with airflow.connection() as conn:
        yield conn


@pytest.fixture
def measured() -> Measure:
    """Record how many seconds something took, to show after the tests; not asserted, since machines differ."""
    return lambda what, seconds: _measured.append((what, seconds))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _measured:
        terminalreporter.section("seconds under airflow standalone")
        for what, seconds in _measured:
            terminalreporter.write_line(f"{seconds:8.2f}  {what}")
