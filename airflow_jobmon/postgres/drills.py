"""The journal of drills: their steps, the alert of each, and what a killed drill left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from airflow_jobmon.core.drills.drills import Delivery, Step
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class AbandonedDrill:
    """A drill that was killed, and what it left: a run in the job log, a schedule removed from pg_cron, test data."""

    id: UUID
    drill: str
    job_name: str
    run_id: str | None
    cron_job: dict[str, Any] | None
    test_data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class DrillAlert:
    """The alert of a drill. incidents: how many incidents counted the simulated run, which should be none."""

    alert_id: int
    at: datetime
    details: dict[str, Any]
    incidents: int


class DrillJournal:
    """One drill in the journal, by the database's clock."""

    def __init__(self, conn: Connection[Any], drill_id: UUID) -> None:
        self.conn = conn
        self.id = drill_id
        self._sql = load_queries("drills")

    def begin(self, drill: str, job_name: str) -> datetime:
        """Add the drill to the journal; returns when it began."""
        began_at: datetime = self._value("begin", drill=drill, job_name=job_name)
        return began_at

    def heartbeat(self) -> None:
        """Record that the drill still runs."""
        self._execute("heartbeat")

    def end(self, steps: Sequence[Step], *, passed: bool) -> None:
        self._execute("end", steps=Jsonb([step.as_json() for step in steps]), passed=passed)

    @contextmanager
    def abandoned(self, cleans: str | None) -> Iterator[list[AbandonedDrill]]:
        """Killed drills, locked within the block, so that no other drill cleans up after them at the same time.

        cleans: the job whose test data this drill can remove; drills that left test data of other jobs are left out.
        """
        with self.conn.transaction(), self.conn.cursor(row_factory=class_row(AbandonedDrill)) as cursor:
            yield cursor.execute(self._sql["abandoned"], {"id": self.id, "cleans": cleans}).fetchall()

    def close(self, drill: AbandonedDrill) -> None:
        """End an abandoned drill that has left nothing behind."""
        other = DrillJournal(self.conn, drill.id)
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
        """The alert of this drill; None until its run is evaluated."""
        with self.conn.cursor(row_factory=class_row(DrillAlert)) as cursor:
            given = {"id": self.id, "job_name": job_name, "run_id": run_id}
            return cursor.execute(self._sql["alert"], given).fetchone()

    def deliveries(self, alert_id: int, since: datetime) -> tuple[list[Delivery], timedelta]:
        """The deliveries of this alert, by channel, and how long after `since` they were read."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._sql["deliveries"], {"alert_id": alert_id}).fetchall()
        read_at = [row.pop("read_at") for row in rows]
        return [Delivery(**row) for row in rows], read_at[0] - since if read_at else timedelta(0)

    def watchers(self) -> list[str]:
        """The live watchers, like `listen on host-a (pid 71)`."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._sql["watchers"]).fetchall()
        return [
            f"{row['kind']} on {row['host']} (pid {row['pid']}{', delivers' if row['delivers'] else ''})"
            for row in rows
        ]

    def newest_start(self, job_name: str) -> datetime | None:
        """When this job's newest run started, not counting drills; None if it never ran."""
        moment: datetime | None = self._value("newest_start", job_name=job_name)
        return moment

    def _keep(self, query: str, left: dict[str, Any]) -> None:
        try:
            self._execute(query, left=Jsonb(left))
        except errors.InsufficientPrivilege:
            raise SchemaProblem(
                f"role {self.conn.info.user!r} lacks permission to write airflow_jobmon.drill_leftovers, where a drill "
                "records what to put back if it is killed; run this drill as the owner of the schema airflow_jobmon"
            ) from None

    def _value(self, query: str, **given: Any) -> Any:
        row = self._execute(query, **given).fetchone()
        return row[0] if row else None

    def _execute(self, query: str, **given: Any) -> Any:
        return self.conn.execute(self._sql[query], {"id": self.id, **given})
