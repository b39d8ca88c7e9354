"""The book of incidents: everything a judge reads and writes besides the log itself."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.evaluation import Evaluation, IncidentChange
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.incidents import Action, OpenIncident
from airflow_jobmon.core.model.runs import FAILED, Run
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
from airflow_jobmon.postgres.job_state import JobState, read_state
from airflow_jobmon.postgres.pipeline import Pending, Sync
from airflow_jobmon.postgres.queries import load_queries

RunKey = tuple[str, str]
"""Job name and run id."""

log = logging.getLogger(__name__)


class AddressedAlert(NamedTuple):
    """An alert, its incident, its channels (None: those told of the incident before), and what keeps it from them."""

    alert: Alert
    incident_id: int | None
    channels: Sequence[str] | None
    silence: Silence | None = None


class IncidentRepository:
    """One judge's view of our tables, within its transaction."""

    def __init__(self, conn: psycopg.Connection[Any], sync: Sync = lambda: None) -> None:
        """`sync` ends a round trip of a pipelined transaction."""
        self.conn = conn
        self._sync = sync
        self._sql = load_queries("incidents")
        self._drawn: list[psycopg.Cursor[Any]] = []

    def ask_installation(self) -> None:
        """Ask ahead for `installed_at` and `notifier_channels`, so that they come with other answers."""
        self._installation_asked  # noqa: B018 - asked by being looked at

    @cached_property
    def _installation_asked(self) -> psycopg.Cursor[Any]:
        return self.conn.execute(self._sql["installation"])

    @cached_property
    def _installation(self) -> tuple[datetime, tuple[str, ...]]:
        row = self._installation_asked.fetchone()
        if row is None:
            raise SchemaProblem("table airflow_jobmon.installation is empty; run: airflow jobmon migrate")
        return row[0], tuple(row[1])

    @property
    def installed_at(self) -> datetime:
        return self._installation[0]

    @property
    def notifier_channels(self) -> tuple[str, ...]:
        """Names that an operator was given as notifiers lately, sorted."""
        return self._installation[1]

    def registered_names(self) -> set[str]:
        return {name for (name,) in self.conn.execute(self._sql["registered_names"])}

    def names_with_incidents(self) -> set[str]:
        return {name for (name,) in self.conn.execute(self._sql["names_with_incidents"])}

    def claim_events(self, limit: int) -> list[Run]:
        asked = self.conn.execute(self._sql["claim_events"], {"limit": limit})
        return [
            Run(run_id, job_name, started_at, completed_at, FAILED, None, error)
            for run_id, job_name, started_at, completed_at, error in self._rows(asked)
        ]

    def lock_states(
        self, names: Sequence[str], seen: Sequence[datetime | None] | None = None
    ) -> Pending[dict[str, JobState]]:
        """Lock these jobs for judging, in order of name; a job seen for the first time is known from now on.

        `seen` says of each when it had last been judged; one that was judged since is left out.
        """
        given = {"names": list(names), "seen": list(seen or [None] * len(names)), "unless_judged": seen is not None}
        self.conn.execute(self._sql["ensure_states"], given)
        asked = self.conn.execute(self._sql["lock_states"], given)
        return lambda: {row[0]: read_state(*row) for row in self._rows(asked)}

    def read_states(self, names: Sequence[str]) -> list[JobState]:
        return self.ask_states(names)()

    def ask_states(self, names: Sequence[str]) -> Pending[list[JobState]]:
        asked = self.conn.execute(self._sql["read_states"], {"names": list(names)})
        return lambda: [read_state(*row) for row in asked.fetchall()]

    def open_incidents(self, names: Sequence[str]) -> Pending[dict[str, dict[str, OpenIncident]]]:
        """By job, by kind."""
        asked = self.conn.execute(self._sql["open_incidents"], {"names": list(names)})

        def read() -> dict[str, dict[str, OpenIncident]]:
            found: dict[str, dict[str, OpenIncident]] = defaultdict(dict)
            for row in self._rows(asked):
                job_name, incident_id, kind, severity, opened, detected, told, occurrences, texts, *later = row
                found[job_name][kind] = OpenIncident(
                    incident_id,
                    kind,
                    Health(severity),
                    opened,
                    detected,
                    told,
                    occurrences,
                    frozenset(texts),
                    *later,
                )
            return found

        return read

    def silences(self) -> Pending[list[Silence]]:
        """Those that have not ended by the database's clock, or did so lately: the judge's clock decides."""
        asked = self.conn.execute(self._sql["silences"])
        return lambda: [Silence(*row) for row in self._rows(asked)]

    def uncounted(self, runs: Sequence[Run]) -> Pending[set[RunKey]]:
        """Which of these failed runs were not counted before, and are still in the log and failed; drills need not."""
        if not runs:
            return set
        known = self._matching("known_occurrences", runs)
        standing = self._matching("still_failed", [run for run in runs if not run.is_drill])

        def read() -> set[RunKey]:
            counted, failed = known(), standing()
            keys = {(run.job_name, run.id) for run in runs if run.is_drill} | failed
            return keys - counted

        return read

    def _matching(self, query: str, runs: Sequence[Run]) -> Pending[set[RunKey]]:
        if not runs:
            return set
        asked = self.conn.execute(self._sql[query], _named(runs))
        return lambda: set(self._rows(asked))

    def failures_in_a_row(self, runs: Sequence[Run]) -> dict[RunKey, int]:
        """How many failures in a row each of these failed runs was the last of."""
        if not runs:
            return {}
        asked = self.conn.execute(self._sql["failures_in_a_row"], _named(runs))
        return {(job_name, run_id): in_a_row for job_name, run_id, in_a_row in self._rows(asked)}

    def draw_ids(self, count: int) -> None:
        """Draw ids for incidents that may be opened, so that opening them need not wait for theirs; the rest lapses."""
        if count > 0:
            self._drawn.append(self.conn.execute(self._sql["draw_ids"], {"count": count}))

    def _ids(self, count: int) -> list[int]:
        ids = [number for asked in self._drawn for (number,) in asked.fetchall()]
        self._drawn.clear()
        if len(ids) < count:
            ids += [
                number for (number,) in self.conn.execute(self._sql["draw_ids"], {"count": count - len(ids)}).fetchall()
            ]
        return ids[:count]

    def record(
        self,
        evaluations: Sequence[Evaluation],
        channels_of: Callable[[MonitoredJob], Sequence[str]],
        *,
        now: datetime,
        window_counted: bool,
    ) -> int:
        """Write what was ruled: incidents, counted runs, alerts with their deliveries, verdicts.

        Returns how many alerts are to be sent.
        """
        changes = [(evaluation, change) for evaluation in evaluations for change in evaluation.changes]
        opened = self._open([(r.job, o) for r, o in changes if o.action is Action.OPEN], now)
        self._execute("update_incidents", [update_row(o) for _, o in changes if o.action is Action.UPDATE], now=now)
        self._execute(
            "resolve_incidents",
            [
                resolution_row(o.incident.id, o.resolved_at)
                for _, o in changes
                if o.action is Action.RESOLVE and o.incident
            ],
        )
        counted: list[tuple[Run, int | None]] = [
            (run, None) for evaluation in evaluations for run in evaluation.uncounted
        ]
        alerts: list[AddressedAlert] = []
        for evaluation, change in changes:
            incident_id = change.incident.id if change.incident else opened[evaluation.job.name, change.kind]
            counted += [(run, incident_id) for run in change.failures]
            if change.alert is not None:
                channels = None if change.action is Action.RESOLVE else channels_of(evaluation.job)
                alerts.append(AddressedAlert(change.alert, incident_id, channels, change.silence))
        self.insert_occurrences(counted)
        written = self.insert_alerts(alerts)
        rows = Jsonb(
            [health_row(evaluation, window_counted=window_counted) for evaluation in evaluations], dumps=_dumps
        )
        self.conn.execute(self._sql["store_verdicts"], {"now": now, "rows": rows})
        return written

    def _open(self, opened: Sequence[tuple[MonitoredJob, IncidentChange]], now: datetime) -> dict[tuple[str, str], int]:
        if not opened:
            return {}
        ids = self._ids(len(opened))
        self._execute(
            "insert_incidents",
            [opening_row(number, job, change) for number, (job, change) in zip(ids, opened, strict=True)],
            now=now,
        )
        return {(job.name, change.kind): number for number, (job, change) in zip(ids, opened, strict=True)}

    def insert_occurrences(self, counted: Sequence[tuple[Run, int | None]]) -> None:
        self._execute(
            "insert_occurrences",
            [occurrence_row(run, incident) for run, incident in counted],
        )

    def insert_alerts(self, alerts: Sequence[AddressedAlert]) -> int:
        """Write alerts and their deliveries, and wake whoever delivers, at commit; returns how many are to be sent."""
        if not alerts:
            return 0
        rows = [alert_row(n, *given) for n, given in enumerate(alerts)]
        self._execute("insert_alerts", rows)
        to_send = sum(row["silenced"] is None for row in rows)
        if to_send:
            self.conn.execute(self._sql["wake"])
        return to_send

    def _rows(self, asked: psycopg.Cursor[Any]) -> list[Any]:
        if asked.pgresult is None:
            self._sync()
        return asked.fetchall()

    def _execute(self, query: str, rows: Sequence[Row], **given: Any) -> None:
        if rows:
            self.conn.execute(self._sql[query], {"rows": Jsonb(rows, dumps=_dumps), **given})


def _named(runs: Sequence[Run]) -> dict[str, list[Any]]:
    return {
        "job_names": [run.job_name for run in runs],
        "run_ids": [run.id for run in runs],
        "started_at": [run.started_at for run in runs],
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
