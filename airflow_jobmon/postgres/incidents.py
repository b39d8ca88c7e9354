"""The book of incidents: everything a judge reads and writes besides the log itself."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from airflow_jobmon.core.alerts import Alert
from airflow_jobmon.core.health import Health, Kind, Window
from airflow_jobmon.core.incidents import Change, OpenIncident, fingerprint
from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.core.runs import FAILED, Run
from airflow_jobmon.core.times import iso
from airflow_jobmon.core.verdicts import Outcome, Ruling
from airflow_jobmon.errors import ConfigurationError, SchemaProblem
from airflow_jobmon.postgres.queries import load_queries
from airflow_jobmon.postgres.registry import stored_job
from airflow_jobmon.postgres.trips import Answer, Arrive

RunKey = tuple[str, str]
"""Job name and run id."""

log = logging.getLogger(__name__)

Addressed = tuple[Alert, int | None, Sequence[str] | None]
"""An alert, its incident, and its channels; None for the channels means: whoever was told of the incident before."""


@dataclass(frozen=True, slots=True)
class State:
    """What is stored of a job: its registry entry (or the defaults), since when we know it, its last counted window."""

    job: MonitoredJob
    registered: bool
    known_since: datetime
    window: Window | None


class IncidentBook:
    """One judge's view of our tables, within its transaction."""

    def __init__(self, conn: psycopg.Connection[Any], arrive: Arrive = lambda: None) -> None:
        """`arrive` ends a trip of the transaction, where it is one of those that count them."""
        self.conn = conn
        self._arrive = arrive
        self._sql = load_queries("judging")
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

    def lock_states(self, names: Iterable[str]) -> Answer[dict[str, State]]:
        """Lock these jobs for judging, in order of name; a job seen for the first time is known from now on."""
        given = {"names": sorted(names)}
        self.conn.execute(self._sql["ensure_states"], given)
        asked = self.conn.execute(self._sql["lock_states"], given)
        return lambda: {row[0]: _state(*row) for row in self._rows(asked)}

    def read_states(self, names: Sequence[str]) -> list[State]:
        rows = self.conn.execute(self._sql["read_states"], {"names": list(names)}).fetchall()
        return [_state(*row) for row in rows]

    def open_incidents(self, names: Sequence[str]) -> Answer[dict[str, dict[str, OpenIncident]]]:
        """By job, by kind."""
        asked = self.conn.execute(self._sql["open_incidents"], {"names": list(names)})

        def read() -> dict[str, dict[str, OpenIncident]]:
            found: dict[str, dict[str, OpenIncident]] = defaultdict(dict)
            for row in self._rows(asked):
                incident_id, job_name, kind, severity, opened_at, detected_at, told_at, occurrences, texts = row
                found[job_name][kind] = OpenIncident(
                    incident_id, kind, Health(severity), opened_at, detected_at, told_at, occurrences, frozenset(texts)
                )
            return found

        return read

    def uncounted(self, runs: Sequence[Run]) -> Answer[set[RunKey]]:
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

    def _matching(self, query: str, runs: Sequence[Run]) -> Answer[set[RunKey]]:
        if not runs:
            return set
        given = {
            "job_names": [run.job_name for run in runs],
            "run_ids": [run.id for run in runs],
            "started_at": [run.started_at for run in runs],
        }
        asked = self.conn.execute(self._sql[query], given)
        return lambda: set(self._rows(asked))

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
        rulings: Sequence[Ruling],
        channels_of: Callable[[MonitoredJob], Sequence[str]],
        *,
        now: datetime,
        window_counted: bool,
    ) -> int:
        """Write what was ruled: incidents, counted runs, alerts with their deliveries, verdicts. Returns the alerts."""
        outcomes = [(ruling, outcome) for ruling in rulings for outcome in ruling.outcomes]
        opened = self._open([(r.job, o) for r, o in outcomes if o.change is Change.OPEN])
        self._execute("update_incidents", [_update(o) for _, o in outcomes if o.change is Change.UPDATE])
        self._execute(
            "resolve_incidents",
            [
                {"id": o.incident.id, "resolved_at": iso(o.resolved_at)}
                for _, o in outcomes
                if o.change is Change.RESOLVE and o.incident
            ],
        )
        counted: list[tuple[Run, int | None]] = [(run, None) for ruling in rulings for run in ruling.uncounted]
        alerts: list[Addressed] = []
        for ruling, outcome in outcomes:
            incident_id = outcome.incident.id if outcome.incident else opened[ruling.job.name, outcome.kind]
            counted += [(run, incident_id) for run in outcome.failures]
            if outcome.alert is not None:
                channels = None if outcome.change is Change.RESOLVE else channels_of(ruling.job)
                alerts.append((outcome.alert, incident_id, channels))
        self.insert_occurrences(counted)
        written = self.insert_alerts(alerts)
        rows = Jsonb([_verdict(ruling, window_counted=window_counted) for ruling in rulings], dumps=_dumps)
        self.conn.execute(self._sql["store_verdicts"], {"now": now, "rows": rows})
        return written

    def _open(self, opened: Sequence[tuple[MonitoredJob, Outcome]]) -> dict[tuple[str, str], int]:
        if not opened:
            return {}
        ids = self._ids(len(opened))
        self._execute(
            "insert_incidents",
            [_opening(number, job, outcome) for number, (job, outcome) in zip(ids, opened, strict=True)],
        )
        return {(job.name, outcome.kind): number for number, (job, outcome) in zip(ids, opened, strict=True)}

    def insert_occurrences(self, counted: Sequence[tuple[Run, int | None]]) -> None:
        self._execute(
            "insert_occurrences",
            [
                {"job_name": run.job_name, "run_id": run.id, "started_at": iso(run.started_at), "incident_id": incident}
                for run, incident in counted
            ],
        )

    def insert_alerts(self, alerts: Sequence[Addressed]) -> int:
        """Write alerts and their deliveries, and wake whoever delivers, at commit."""
        if not alerts:
            return 0
        rows = [
            {
                "n": n,
                "incident_id": incident_id,
                "job_name": alert.job_name,
                "kind": alert.kind,
                "event": alert.event.value,
                "severity": alert.severity.value,
                "details": alert.as_json(),
                "channels": None if channels is None else list(channels),
            }
            for n, (alert, incident_id, channels) in enumerate(alerts)
        ]
        self._execute("insert_alerts", rows)
        self.conn.execute(self._sql["wake"])
        return len(rows)

    def _rows(self, asked: psycopg.Cursor[Any]) -> list[Any]:
        if asked.pgresult is None:
            self._arrive()
        return asked.fetchall()

    def _execute(self, query: str, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self.conn.execute(self._sql[query], {"rows": Jsonb(rows, dumps=_dumps)})


def _state(  # noqa: PLR0917 - a row of the query, column by column
    job_name: str,
    first_seen_at: datetime,
    finished: int | None,
    succeeded: int | None,
    config: dict[str, Any] | None,
    registered_at: datetime | None,
) -> State:
    try:
        job = stored_job(config) if config is not None else _defaults(job_name)
    except ConfigurationError as error:  # stored by another host or version, such as a zone unknown here
        log.error("the registry entry of job %.200r cannot be read here: %s", job_name, error)  # noqa: TRY400
        job, config = _defaults(job_name), None
    window = Window(job.window_days, finished, succeeded) if finished is not None and succeeded is not None else None
    return State(job, config is not None, registered_at or first_seen_at, window)


@lru_cache(maxsize=20_000)
def _defaults(job_name: str) -> MonitoredJob:
    return MonitoredJob.model_construct(name=job_name)  # a log may hold names that no registry would take


def _opening(incident_id: int, job: MonitoredJob, outcome: Outcome) -> dict[str, Any]:
    finding, alert = outcome.finding, outcome.alert
    error = outcome.failures[-1].error_message if outcome.failures else None
    return {
        "id": incident_id,
        "job_name": job.name,
        "kind": outcome.kind,
        "severity": finding.severity.value if finding else "critical",
        "opened_at": iso(outcome.opened_at),
        "resolved_at": iso(outcome.resolved_at),
        "occurrences": max(len(outcome.failures), _failures_so_far(job, outcome), 1),
        "message": finding.message if finding else alert.message if alert else "",
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": error,
        "error_texts": sorted({fingerprint(run.error_message) for run in outcome.failures}) if alert else [],
        "told": alert is not None,
    }


def _failures_so_far(job: MonitoredJob, outcome: Outcome) -> int:
    """Those that were needed to open it were counted before it was."""
    finding = outcome.finding
    return int(finding.observed) if finding and finding.kind is Kind.FAILED and job.failures_to_alert > 1 else 0


def _update(outcome: Outcome) -> dict[str, Any]:
    finding = outcome.finding
    error = outcome.failures[-1].error_message if outcome.failures else None
    return {
        "id": outcome.incident.id if outcome.incident else None,
        "severity": finding.severity.value if finding else None,
        "new_occurrences": len(outcome.failures),
        "message": finding.message if finding else None,
        "observed": finding.observed if finding else None,
        "threshold": finding.threshold if finding else None,
        "error_message": error,
        "new_texts": sorted({fingerprint(run.error_message) for run in outcome.failures}) if outcome.alert else [],
        "told": outcome.alert is not None,
    }


def _verdict(ruling: Ruling, *, window_counted: bool) -> dict[str, Any]:
    health, window = ruling.health, ruling.facts.window if window_counted else None
    return {
        "job_name": health.job_name,
        "health": health.status.value,
        "verdict": health.as_json(),
        "due_at": iso(health.next_due_at),
        "judge_at": iso(ruling.judge_at),
        "newest_run": ruling.facts.newest_run,
        "window_finished": window.finished if window else None,
        "window_succeeded": window.succeeded if window else None,
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
