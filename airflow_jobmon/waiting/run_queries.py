"""The poller's queries as a Protocol, since their module imports psycopg, which takes 0.3 s.

A triggerer imports the poller in its event loop, where those 0.3 s would block every other trigger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.successes import RecentSuccesses, SuccessLookup, SuccessMark
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    import psycopg


class RunQueries(Protocol):
    """The module `airflow_jobmon.postgres.waits`, as the poller sees it."""

    @property
    def TROUBLE(self) -> tuple[type[Exception], ...]:  # noqa: N802 - a constant of the module
        """The exceptions of a database that is unreachable or answers with an error."""
        ...

    async def aconnect(self, conninfo: str) -> psycopg.AsyncConnection[Any]: ...

    async def finished_runs(
        self, conn: psycopg.AsyncConnection[Any], waits: Sequence[Wait]
    ) -> dict[Wait, Run | JobmonError]: ...

    async def changed_successes(
        self, conn: psycopg.AsyncConnection[Any], jobs: Sequence[SuccessLookup]
    ) -> dict[int, tuple[int, RecentSuccesses]]: ...

    async def read_marks(
        self, conn: psycopg.AsyncConnection[Any], job_names: Sequence[str]
    ) -> Mapping[str, SuccessMark]: ...

    async def write_mark(self, conn: psycopg.AsyncConnection[Any], job_name: str, mark: SuccessMark) -> None: ...

    def explained(self, error: Exception) -> JobmonError: ...

    def is_refusal(self, error: Exception) -> bool: ...


def load_run_queries() -> RunQueries:
    """Import the queries; call this in a thread."""
    from airflow_jobmon.postgres import waits  # noqa: PLC0415

    return waits
