"""Test 1: a simulated failure goes the whole way, from the job's own log to every channel's server."""

from __future__ import annotations

from typing import Any

from airflow_jobmon.core.drills.drills import FAILURE, DrillResult, quoted, simulated_error
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.drills.delivery_check import follow
from airflow_jobmon.drills.session import Connection, Drill, DrillOptions, drill_session
from airflow_jobmon.monitoring.evaluation import channels_of
from airflow_jobmon.postgres.drills import DrillAlert
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.simulated_failure import Simulated, remove_simulated, simulate_failure
from airflow_jobmon.settings import Settings


def run_failure_drill(conn: Connection, settings: Settings, job_name: str, options: DrillOptions) -> DrillResult:
    """Log a failed run of this job, whoever it is, and follow it until each channel took it or did not.

    Raises SchemaProblem where the job log takes no such run; nothing was changed then.
    """
    with drill_session(conn, FAILURE, job_name, options) as drill:
        run = simulate_failure(conn, drill.id, job_name)
        try:
            _follow_run(drill, settings, run)
        finally:
            drill.clean_up("cleaned up", lambda: _remove(drill, run))
    return drill.result


def _follow_run(drill: Drill, settings: Settings, run: Simulated) -> None:
    drill.add("failed run logged", f"a row in {run.table}", f"run {run.run_id}", ok=True, seconds=0.0)
    if not run.noted:
        drill.add(
            "noted by the trigger",
            "an event in the same transaction",
            f"none: the triggers on {run.table} are missing, disabled or skipped; run: airflow jobmon doctor",
            ok=False,
        )
        return
    told = drill.wait(lambda: drill.book.find_alert(drill.job_name, run.run_id), drill.options.within)
    _taken(drill, run, told)
    if told is None:
        return
    _told_right(drill, told.details)
    drill.add(
        "counted nowhere",
        "in no incident",
        "in none" if not told.incidents else f"in {told.incidents} incident(s)",
        ok=not told.incidents,
    )
    book = IncidentRepository(drill.conn)
    [state] = book.read_states([drill.job_name])
    follow(drill, told.alert_id, run.at, channels_of(state.job, settings, book))


def _taken(drill: Drill, run: Simulated, told: DrillAlert | None) -> None:
    watchers = drill.book.watchers()
    alive = ", ".join(watchers) or "no watcher is alive"
    within = format_duration(drill.options.within)
    if told is None:
        todo = "run: airflow jobmon doctor" if watchers else "start airflow jobmon listen, or unpause jobmon_alerts"
        observed = f"no watcher took the event in {within}: {alive}; {todo}"
    elif drill.options.deliver is not None:
        observed = f"alert {told.alert_id}, judged by this drill itself or by a watcher ({alive})"
    else:
        observed = f"alert {told.alert_id} ({alive})"
    seconds = None if told is None else (told.at - run.at).total_seconds()
    drill.add("taken by a watcher", f"within {within}", observed, ok=told is not None, seconds=seconds)


def _told_right(drill: Drill, details: dict[str, Any]) -> None:
    error, name = details.get("error"), details.get("job_name")
    drill.add(
        "told as it is",
        "the job's name and its error, as a test",
        quoted(f"{name}: {error}"),
        ok=name == drill.job_name and error == simulated_error(drill.id) and details.get("event") == "test",
    )


def _remove(drill: Drill, run: Simulated) -> str:
    removed = remove_simulated(drill.conn, drill.id, drill.job_name, run.run_id)
    return "the run is deleted" if removed else "the run was deleted by somebody else"
