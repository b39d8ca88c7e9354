"""The failure drill (Test 1): follows a simulated failure from the job log to every channel's server."""

from __future__ import annotations

from typing import Any

from airflow_jobmon.core.drills.drills import FAILURE, DrillResult, quoted, simulated_error
from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.drills.delivery_check import follow
from airflow_jobmon.drills.session import Connection, Drill, DrillOptions, drill_session
from airflow_jobmon.monitoring.evaluation import channels_of
from airflow_jobmon.postgres.drills import DrillAlert
from airflow_jobmon.postgres.incidents import IncidentRepository
from airflow_jobmon.postgres.simulated_failure import SimulatedFailure, remove_simulated, simulate_failure
from airflow_jobmon.settings import Settings


def run_failure_drill(conn: Connection, settings: Settings, job_name: str, options: DrillOptions) -> DrillResult:
    """Log a failed run under this job name (any name will do) and follow its alert until each channel has answered.

    Raises SchemaProblem if the job log does not accept the run; nothing was changed then.
    """
    with drill_session(conn, FAILURE, job_name, options) as drill:
        run = simulate_failure(conn, drill.id, job_name)
        try:
            _follow_run(drill, settings, run)
        finally:
            drill.clean_up("cleaned up", lambda: _remove(drill, run))
    return drill.result


def _follow_run(drill: Drill, settings: Settings, run: SimulatedFailure) -> None:
    drill.add("failed run logged", f"a row in {run.table}", f"run {run.run_id}", ok=True, seconds=0.0)
    if not run.noted:
        drill.add(
            "recorded by the trigger",
            "an event in the same transaction",
            f"none: the triggers on {run.table} are missing, disabled or skipped; run: airflow jobmon doctor",
            ok=False,
        )
        return
    alert = drill.wait(lambda: drill.journal.find_alert(drill.job_name, run.run_id), drill.options.within)
    _check_watcher(drill, run, alert)
    if alert is None:
        return
    _check_content(drill, alert.details)
    drill.add(
        "no incident opened",
        "none",
        "none" if not alert.incidents else counted(alert.incidents, "incident"),
        ok=not alert.incidents,
    )
    repository = IncidentRepository(drill.conn)
    [state] = repository.request_states([drill.job_name])()
    follow(drill, alert.alert_id, run.at, channels_of(state.job, settings, repository.request_installation()()))


def _check_watcher(drill: Drill, run: SimulatedFailure, alert: DrillAlert | None) -> None:
    watchers = drill.journal.watchers()
    alive = ", ".join(watchers) or "no watcher is running"
    within = format_duration(drill.options.within)
    if alert is None:
        todo = "run: airflow jobmon doctor" if watchers else "start airflow jobmon listen, or unpause jobmon_alerts"
        observed = f"no watcher picked up the event within {within}: {alive}; {todo}"
    elif drill.options.deliver is not None:
        observed = f"alert {alert.alert_id}, evaluated by this drill itself or by a watcher ({alive})"
    else:
        observed = f"alert {alert.alert_id} ({alive})"
    seconds = None if alert is None else (alert.at - run.at).total_seconds()
    drill.add("picked up by a watcher", f"within {within}", observed, ok=alert is not None, seconds=seconds)


def _check_content(drill: Drill, details: dict[str, Any]) -> None:
    error, name = details.get("error"), details.get("job_name")
    drill.add(
        "alert names job and error",
        "the job's name and error, marked as a test",
        quoted(f"{name}: {error}"),
        ok=name == drill.job_name and error == simulated_error(drill.id) and details.get("event") == "test",
    )


def _remove(drill: Drill, run: SimulatedFailure) -> str:
    removed = remove_simulated(drill.conn, drill.id, drill.job_name, run.run_id)
    return "the run was deleted" if removed else "another session already deleted the run"
