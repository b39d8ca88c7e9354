"""Reads and writes what an evaluation needs besides the log: events, jobs, incidents, alerts, health."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.rows import RowFactory, class_row, namedtuple_row, scalar_row
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.evaluation import Evaluation, IncidentChange
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.incidents import Action, OpenIncident
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.incident_rows import (
    Row,
    alert_row,
    health_row,
    occurrence_row,
    opening_row,
    resolution_row,
    update_row,
)
from airflow_jobmon.postgres.job_state import JobState, StateRow, read_state
from airflow_jobmon.postgres.pipeline import Pending, Sync
from airflow_jobmon.postgres.queries import load_queries

R = TypeVar("R")
T = TypeVar("T")


class RunKey(NamedTuple):
    job_name: str
    run_id: str


class Occurrence(NamedTuple):
    """A failed run that is counted, in an incident or in none."""

    run: Run
    incident_id: int | None


class AddressedAlert(NamedTuple):
    """An alert to write. channels: None for those notified of the incident before. silence: holds the alert back."""

    alert: Alert
    incident_id: int | None
    channels: Sequence[str] | None
    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """When this was installed, and the channels that an operator was recently given as notifiers, sorted."""

    installed_at: datetime
    notifier_channels: Sequence[str]


class IncidentRepository:
    """Our tables as one evaluation sees them, within its transaction.

    A `request_` method sends its query and returns the pending result: send all of them first, then call the results,
    so that they share a round trip.
    """

    def __init__(self, conn: psycopg.Connection[Any], sync: Sync = lambda: None) -> None:
        """`sync` ends a round trip of a pipelined transaction."""
        self.conn = conn
        self._sync = sync
        self._sql = load_queries("incidents")

    def registered_names(self) -> set[str]:
        return self._request("registered_names", scalar_row, set)()

    def names_with_incidents(self) -> set[str]:
        return self._request("names_with_incidents", scalar_row, set)()

    def claim_events(self, limit: int) -> list[Run]:
        """Claim the oldest events that no other evaluation has claimed; return their failed runs."""
        return self._request("claim_events", class_row(Run), list, limit=limit)()

    def lock_states(
        self, names: Sequence[str], checked_at: Sequence[datetime | None] | None = None
    ) -> Pending[dict[str, JobState]]:
        """Lock these jobs for evaluation, in order of name; a new job gets its first state here.

        checked_at: when each of them was last evaluated; one that was evaluated since is left out. None locks all.
        """
        params = {"names": list(names), "checked_at": list(checked_at or [None] * len(names))}
        self.conn.execute(self._sql["ensure_states"], {"names": list(names)})
        return self._request(
            "lock_states", class_row(StateRow), _states_by_name, **params, if_unchanged=checked_at is not None
        )

    def request_states(self, names: Sequence[str]) -> Pending[list[JobState]]:
        return self._request("read_states", class_row(StateRow), _states, names=list(names))

    def request_installation(self) -> Pending[Installation]:
        return self._request("installation", class_row(Installation), _only_installation)

    def request_open_incidents(self, names: Sequence[str]) -> Pending[dict[str, dict[str, OpenIncident]]]:
        """The open incidents, by job and kind."""
        return self._request("open_incidents", namedtuple_row, _incidents_by_job, names=list(names))

    def request_silences(self) -> Pending[list[Silence]]:
        """Silences that have not ended by the database's clock, or ended recently: the evaluation's clock decides."""
        return self._request("silences", class_row(Silence), list)

    def request_uncounted(self, runs: Sequence[Run]) -> Pending[set[RunKey]]:
        """Which of these failed runs were not counted before and still are in the log as failed (or are drills)."""
        drills = {_key(run) for run in runs if run.is_drill}
        counted = self._request_matching("known_occurrences", runs)
        failed = self._request_matching("still_failed", [run for run in runs if not run.is_drill])

        def read() -> set[RunKey]:
            known = counted()
            return (drills | failed()) - known

        return read

    def _request_matching(self, query: str, runs: Sequence[Run]) -> Pending[set[RunKey]]:
        return self._request(query, class_row(RunKey), set, **_arrays(runs)) if runs else set

    def request_incident_ids(self, count: int) -> Pending[list[int]]:
        """Draw ids for incidents that may be opened; unused ones lapse."""
        return self._request("draw_ids", scalar_row, list, count=count) if count else list

    def failures_in_a_row(self, runs: Sequence[Run]) -> dict[str, dict[str, int]]:
        """For each of these failed runs, how many runs in a row had failed up to it, by job and run id."""
        if not runs:
            return {}
        return self._request("failures_in_a_row", namedtuple_row, _counts_by_job, **_arrays(runs))()

    def record(
        self,
        evaluations: Sequence[Evaluation],
        channels_of: Callable[[MonitoredJob], Sequence[str]],
        *,
        incident_ids: Sequence[int],
        now: datetime,
        window_counted: bool,
    ) -> int:
        """Write what was evaluated: incidents, counted runs, alerts with their deliveries, health.

        incident_ids: drawn before; more are drawn where they are too few. Returns how many alerts are to be sent.
        """
        changes = [(evaluation.job, change) for evaluation in evaluations for change in evaluation.changes]
        opened = self._open([one for one in changes if one[1].action is Action.OPEN], incident_ids, now)
        updated = [update_row(change) for _, change in changes if change.action is Action.UPDATE]
        resolved = [resolution_row(change) for _, change in changes if change.action is Action.RESOLVE]
        self._write("update_incidents", updated, now=now)
        self._write("resolve_incidents", resolved)
        counted = [Occurrence(run, None) for evaluation in evaluations for run in evaluation.uncounted]
        alerts: list[AddressedAlert] = []
        for job, change in changes:
            incident_id = change.incident.id if change.incident else opened[job.name, change.kind]
            counted += [Occurrence(run, incident_id) for run in change.failures]
            if change.alert is not None:
                channels = None if change.action is Action.RESOLVE else channels_of(job)
                alerts.append(AddressedAlert(change.alert, incident_id, channels, change.silence))
        self.insert_occurrences(counted)
        to_send = self.insert_alerts(alerts)
        self._write("store_health", [health_row(one, window_counted=window_counted) for one in evaluations], now=now)
        return to_send

    def _open(
        self, opened: Sequence[tuple[MonitoredJob, IncidentChange]], ids: Sequence[int], now: datetime
    ) -> dict[tuple[str, str], int]:
        """The ids of the incidents that were opened, by job and kind."""
        missing = len(opened) - len(ids)
        if missing > 0:
            ids = [*ids, *self.request_incident_ids(missing)()]
        numbered = list(zip(ids, opened, strict=False))
        self._write("insert_incidents", [opening_row(number, *one) for number, one in numbered], now=now)
        return {(job.name, change.kind): number for number, (job, change) in numbered}

    def insert_occurrences(self, counted: Sequence[Occurrence]) -> None:
        self._write("insert_occurrences", [occurrence_row(run, incident_id) for run, incident_id in counted])

    def insert_alerts(self, alerts: Sequence[AddressedAlert]) -> int:
        """Write alerts with their deliveries, and wake the senders at commit; returns how many are to be sent."""
        rows = [alert_row(n, one.alert, one.incident_id, one.channels, one.silence) for n, one in enumerate(alerts)]
        self._write("insert_alerts", rows)
        to_send = sum(one.silence is None for one in alerts)
        if to_send:
            self.conn.execute(self._sql["wake"])
        return to_send

    def _request(self, query: str, rows: RowFactory[R], read: Callable[[list[R]], T], **params: Any) -> Pending[T]:
        cursor = self.conn.cursor(row_factory=rows).execute(self._sql[query], params)

        @cache  # a cursor gives its rows once
        def result() -> T:
            if cursor.pgresult is None:
                self._sync()
            return read(cursor.fetchall())

        return result

    def _write(self, query: str, rows: Sequence[Row], **params: Any) -> None:
        if rows:
            self.conn.execute(self._sql[query], {"rows": Jsonb(rows, dumps=_dumps), **params})


def _states(rows: Sequence[StateRow]) -> list[JobState]:
    return [read_state(row) for row in rows]


def _states_by_name(rows: Sequence[StateRow]) -> dict[str, JobState]:
    return {row.job_name: read_state(row) for row in rows}


def _only_installation(rows: Sequence[Installation]) -> Installation:
    if not rows:
        raise SchemaProblem("table airflow_jobmon.installation is empty; run: airflow jobmon migrate")
    return rows[0]


def _incidents_by_job(rows: Sequence[Any]) -> dict[str, dict[str, OpenIncident]]:
    found: dict[str, dict[str, OpenIncident]] = defaultdict(dict)
    for row in rows:
        found[row.job_name][row.kind] = OpenIncident(
            id=row.id,
            kind=row.kind,
            severity=Health(row.severity),
            opened_at=row.opened_at,
            detected_at=row.detected_at,
            notified_at=row.told_at,
            occurrences=row.occurrences,
            error_texts=frozenset(row.error_texts),
            silenced_at=row.silenced_at,
            acknowledged_at=row.acknowledged_at,
        )
    return found


def _counts_by_job(rows: Sequence[Any]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        found[row.job_name][row.run_id] = row.in_a_row
    return found


def _key(run: Run) -> RunKey:
    return RunKey(run.job_name, run.id)


def _arrays(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """These runs as the arrays that a query unnests."""
    return {
        "job_names": [run.job_name for run in runs],
        "run_ids": [run.id for run in runs],
        "started_at": [run.started_at for run in runs],
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
