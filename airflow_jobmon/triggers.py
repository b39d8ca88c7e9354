"""The triggers, which run in the triggerer.

Airflow stores the paths and arguments of these classes: never move a class; only add arguments, with defaults.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.core.rules.backoff import backoff
from airflow_jobmon.core.times import iso, parse_moment
from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow_jobmon.monitoring.watcher import ReadTarget, Watcher
    from airflow_jobmon.settings import Settings

DEFAULT_CONN_ID = "jobmon_default"

_LONGEST_RETRY = timedelta(minutes=1)
"""The longest pause between two attempts of JobRunTrigger to use the database."""


class JobsLogTrigger(BaseTrigger):
    """Waits for the run that a deferred JobsLogSensor waits for.

    The event is `{"run": {...}}`, or `{"error": "one line"}` if the database cannot be used at all.
    """

    def __init__(
        self,
        *,
        job_name: str,
        since: str,
        good_only: bool = False,
        min_records: int | None = None,
        conn_id: str = DEFAULT_CONN_ID,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_name = job_name
        self.since = since
        self.good_only = good_only
        self.min_records = min_records
        self.conn_id = conn_id

    @classmethod
    def waiting_for(cls, wait: Wait, conn_id: str) -> JobsLogTrigger:
        return cls(
            job_name=wait.job_name,
            since=iso(wait.since),
            good_only=wait.good_only,
            min_records=wait.min_records,
            conn_id=conn_id,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_jobmon.triggers.JobsLogTrigger",
            {
                "job_name": self.job_name,
                "since": self.since,
                "good_only": self.good_only,
                "min_records": self.min_records,
                "conn_id": self.conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow_jobmon.runtime.connections import aconninfo  # noqa: PLC0415
        from airflow_jobmon.waiting.run_poller import wait_for_run  # noqa: PLC0415

        wait = Wait(self.job_name, parse_moment(self.since), self.good_only, self.min_records)
        try:
            run = await wait_for_run(wait, conn_id=self.conn_id, resolve=aconninfo)
        except JobmonError as error:
            yield TriggerEvent({"error": f"connection {self.conn_id!r}: {error}"})
        else:
            yield TriggerEvent({"run": run_payload(run)})


class JobRunTrigger(BaseEventTrigger):
    """Updates an asset on each success of a job that runs outside Airflow; several at once make one event.

    The job's database records which successes had an event, so after a restart only the others get one. The
    trigger never ends by itself and never raises for a database problem: Airflow would restart it every two seconds.
    """

    def __init__(self, *, job_name: str, conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_name = job_name
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "airflow_jobmon.triggers.JobRunTrigger", {"job_name": self.job_name, "conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow_jobmon.runtime.connections import aconninfo  # noqa: PLC0415
        from airflow_jobmon.waiting.run_poller import new_successes  # noqa: PLC0415

        logged, failures = "", 0
        while True:
            try:
                async with aclosing(
                    new_successes(self.job_name, conn_id=self.conn_id, resolve=aconninfo)
                ) as notifications:
                    async for successes in notifications:
                        logged, failures = "", 0
                        yield TriggerEvent({**run_payload(successes.newest), "successes": successes.count})
            except JobmonError as error:
                if str(error) != logged:
                    logged = str(error)
                    self.log.error("Job %s, connection %s: %s. Trying again.", self.job_name, self.conn_id, logged)  # noqa: TRY400
                failures += 1
                pause = backoff(failures, jitter=random.random(), longest=_LONGEST_RETRY)  # noqa: S311 - jitter
                await asyncio.sleep(pause.total_seconds())


class JobAlertTrigger(BaseEventTrigger):
    """Runs the watcher, and fires whenever an alert is due that no process is delivering.

    The event carries no alerts: they are in the database, so a lost event loses nothing, and the next one comes within
    seconds. The trigger never raises for a problem with the configuration or the database: it logs it and tries again
    with the current settings and connection.

    :param conn_id: the connection to the job log's database; None: [jobmon] conn_id.
    """

    def __init__(self, *, conn_id: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "airflow_jobmon.triggers.JobAlertTrigger", {"conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow_jobmon.runtime.connections import aconninfo  # noqa: PLC0415
        from airflow_jobmon.settings import load  # noqa: PLC0415

        async def read_target() -> tuple[str, Settings]:
            settings = await asyncio.to_thread(load)
            return await aconninfo(self.conn_id or settings.conn_id), settings

        watcher = await asyncio.to_thread(_watcher, read_target)
        async with aclosing(watcher.alerts_due()) as wakes:
            async for _ in wakes:
                yield TriggerEvent("alerts are due")


def _watcher(read_target: ReadTarget) -> Watcher:
    """Call this in a thread: it imports psycopg, which would block the triggerer's event loop for 0.3 s."""
    from airflow_jobmon.monitoring.watcher import Watcher  # noqa: PLC0415

    return Watcher(read_target, kind="trigger", delivers=False)


def run_payload(run: Run) -> dict[str, Any]:
    """The run in the form of XComs and asset events, JSON-native."""
    return {"job_name": run.job_name, **run.as_json()}


def run_of(payload: dict[str, Any]) -> Run:
    """The run in a payload made by `run_payload`."""
    return Run(
        id=payload["id"],
        job_name=payload["job_name"],
        started_at=parse_moment(payload["started_at"]),
        completed_at=parse_moment(payload["completed_at"]) if payload["completed_at"] else None,
        status=payload["status"],
        records_updated=payload["records_updated"],
        error_message=payload["error_message"],
    )
