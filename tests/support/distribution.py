"""How pytest-xdist's workers share the tests: those with a costly fixture in common run in one, the longest first."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

_TOGETHER = (
    "tests/standalone/",  # a running Airflow
    "tests/processes/",  # a process that imported Airflow, from which listeners are forked
    "tests/airflow/web/",  # Airflow's API application
    "tests/airflow/cli/",  # the parser of the `airflow` command
)

_LONGEST_FIRST = (
    "tests/standalone/",
    "tests/install/test_clean_install.py",
    "tests/processes/",
    "tests/install/test_fab.py",
    "tests/airflow/web/",
    "tests/airflow/cli/",
)
"""Each takes a minute or two; started last, it would leave the other workers idle."""


class Distribution(LoadScopeScheduling):
    """Gives a worker one file after another, or one of the groups that stay together, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", maxsplit=1)[0]
        return next((group for group in _TOGETHER if path.startswith(group)), path)


def rank(nodeid: str) -> int:
    """By which tests are sorted: the lowest first."""
    matching = (number for number, start in enumerate(_LONGEST_FIRST) if nodeid.startswith(start))
    return next(matching, len(_LONGEST_FIRST))
