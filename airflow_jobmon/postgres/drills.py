"""A drill's journal, and what is known of what it told; what a killed one left behind is found by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, errors
from psycopg.types.json import Jsonb

from airflow_jobmon.core.drills.drills import Delivery, Step
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A drill that was killed, and what it left: a run in the job log, a schedule off pg_cron, test data."""

    id: UUID
    drill: str
    job_name: str
    run_id: str | None
    cron_job: dict[str, Any] | None
    test_data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class DrillAlert:
    """The alert that tells of a drill. incidents: how many the simulated run was counted in, which should be none."""

    alert_id: int
    at: datetime
    details: dict[str, Any]
    incidents: int


class DrillBook:
    """One drill's view of our tables."""

    def __init__(self, conn: Connection[Any], drill_id: UUID) -> None:
        self.conn = conn
        self.id = drill_id
        self._sql = load_queries("drills")

    def begin(self, drill: str, job_name: str) -> datetime:
        """Note that it runs, by the database's clock, which all its times are read from."""
        began_at: datetime = self._value("begin", drill=drill, job_name=job_name)
        return began_at

    def beat(self) -> None:
        """Say that it still runs."""
        self._execute("beat")

    def end(self, steps: Sequence[Step], *, passed: bool) -> None:
        self._execute("end", steps=Jsonb([step.as_json() for step in steps]), passed=passed)

    @contextmanager
    def abandoned(self, cleans: str | None) -> Iterator[list[Abandoned]]:
        """Killed drills, held so that no other drill removes the same while the block does.

        Those with test data are among them only where they tried the job that `cleans` names.
        """
        with self.conn.transaction():
            yield [Abandoned(*row) for row in self._execute("abandoned", cleans=cleans).fetchall()]

    def close(self, drill: Abandoned) -> None:
        """Nothing is left of this one."""
        other = DrillBook(self.conn, drill.id)
        other.forget_leftovers()
        other.end((), passed=False)

    def keep_cron_job(self, left: dict[str, Any]) -> None:
        self._keep("keep_cron_job", left)

    def keep_test_data(self, left: dict[str, Any]) -> None:
        self._keep("keep_test_data", left)

    def forget_leftovers(self) -> None:
        self._execute("forget_leftovers")

    def now(self) -> datetime:
        moment: datetime = self._value("now")
        return moment

    def find_alert(self, job_name: str, run_id: str | None = None) -> DrillAlert | None:
        """The alert about this drill; None while nobody has judged it."""
        row = self._execute("told", job_name=job_name, run_id=run_id).fetchone()
        return None if row is None else DrillAlert(*row)

    def deliveries(self, alert_id: int, since: datetime) -> tuple[list[Delivery], timedelta]:
        """By channel, and how long ago `since` was when they stood like this."""
        rows = self._execute("deliveries", alert_id=alert_id).fetchall()
        waited = rows[0][-1] - since if rows else timedelta(0)
        return [Delivery(*row[:-1]) for row in rows], waited

    def watchers(self) -> list[str]:
        """Who watches, like `listen on host-a (pid 71)`."""
        return [
            f"{kind} on {host} (pid {pid}{', delivers' if delivers else ''})"
            for kind, host, pid, delivers in self._execute("watchers").fetchall()
        ]

    def newest_start(self, job_name: str) -> datetime | None:
        """When this job's newest run started, drills left out; None where it has none."""
        moment: datetime | None = self._value("newest_start", job_name=job_name)
        return moment

    def _keep(self, query: str, left: dict[str, Any]) -> None:
        try:
            self._execute(query, left=Jsonb(left))
        except errors.InsufficientPrivilege:
            raise SchemaProblem(
                f"role {self.conn.info.user!r} may not write airflow_jobmon.drill_leftovers, where a drill notes what "
                "must be put back should it be killed; hold this drill as the owner of the schema airflow_jobmon"
            ) from None

    def _value(self, query: str, **given: Any) -> Any:
        row = self._execute(query, **given).fetchone()
        return row[0] if row else None

    def _execute(self, query: str, **given: Any) -> Any:
        return self.conn.execute(self._sql[query], {"id": self.id, **given})
