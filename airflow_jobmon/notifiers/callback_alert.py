"""An alert from the context that Airflow passes to a DAG's callback: the job is the dag id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.times import iso, parse_moment
from airflow_jobmon.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AlertOverrides:
    """Values that the DAG's author gives to the notifier; each overrides the one from the context."""

    job_name: str | None = None
    logs_url: str | None = None
    runbook_url: str | None = None


def alert_of(context: Mapping[str, Any], overrides: AlertOverrides, *, now: datetime, base_url: str | None) -> Alert:
    """The alert for the callback of a task, a DAG or a deadline.

    A task's context has `ti` and its state, a DAG's has `reason` instead of an exception, and a deadline's has only
    the plain dictionaries `dag_run` and `deadline`.
    """
    ti = context.get("ti") or context.get("task_instance")
    run = context.get("dag_run")
    dag_id = _first(_get(ti, "dag_id"), _get(context.get("dag"), "dag_id"), _get(run, "dag_id"), "unknown DAG")
    run_id = _first(_get(ti, "run_id"), context.get("run_id"), _get(run, "run_id"))
    kind, severity, message, at = _what_happened(context, ti, run, run_id, now)
    return Alert(
        event=AlertEvent.OPENED,
        kind=kind,
        job_name=overrides.job_name or dag_id,
        severity=severity,
        at=at,
        message=message,
        error=_error(context, kind),
        facts=tuple(_facts(context, ti, dag_id, run_id)),
        logs_url=overrides.logs_url or _logs_url(ti, dag_id, run_id, base_url),
        runbook_url=overrides.runbook_url,
    )


def _what_happened(
    context: Mapping[str, Any], ti: Any, run: Any, run_id: str, now: datetime
) -> tuple[str, Health, str, datetime]:
    if deadline := context.get("deadline"):
        at = _moment(_get(deadline, "deadline_time")) or now
        return "deadline", Health.CRITICAL, f"run {run_id} did not finish by its deadline, {iso(at)}", at
    whole_dag = "reason" in context and not context.get("exception")
    state = str(_first(_get(run if whole_dag else ti, "state"), "")).rpartition(".")[2].lower()
    what = f"run {run_id}" if whole_dag or ti is None else f"task {_get(ti, 'task_id')} in run {run_id}"
    if context.get("exception") is None and (state == "success" or context.get("reason") == "success"):
        return "succeeded", Health.OK, f"{what} succeeded", now
    if state == "up_for_retry":
        return "retrying", Health.WARNING, f"{what} failed and will be retried", now
    if state == "skipped":
        return "skipped", Health.OK, f"{what} was skipped", now
    return "failed", Health.CRITICAL, f"{what} failed", now


def _error(context: Mapping[str, Any], kind: str) -> str | None:
    exception = context.get("exception")
    if isinstance(exception, BaseException):
        text = str(exception)
        return f"{type(exception).__name__}: {text}" if text else type(exception).__name__
    if exception:
        return str(exception)
    reason = context.get("reason")
    return str(reason) if reason and kind == "failed" else None


def _facts(context: Mapping[str, Any], ti: Any, dag_id: str, run_id: str) -> list[tuple[str, str]]:
    facts = [("DAG", dag_id)]
    if task_id := _get(ti, "task_id"):
        index = _get(ti, "map_index")
        facts.append(("Task", f"{task_id} [{index}]" if isinstance(index, int) and index >= 0 else str(task_id)))
    if run_id:
        facts.append(("Run", run_id))
    tries, most = _get(ti, "try_number"), _get(ti, "max_tries")
    if isinstance(tries, int) and isinstance(most, int) and most > 0:
        facts.append(("Try", f"{tries} of {most + 1}"))
    owner = _get(_get(ti, "task") or context.get("task"), "owner")
    if isinstance(owner, str) and owner not in {"", "airflow"}:
        facts.append(("Owner", owner))
    return facts


def _logs_url(ti: Any, dag_id: str, run_id: str, base_url: str | None) -> str | None:
    """The task's log if there is a task, else the run's page."""
    if url := _get(ti, "log_url"):
        return str(url)
    if base_url and run_id:
        return f"{base_url.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return None


def _moment(value: Any) -> datetime | None:
    try:
        return parse_moment(value) if isinstance(value, str) else value if isinstance(value, datetime) else None
    except ConfigurationError:
        return None


def _get(thing: Any, name: str) -> Any:
    """A field of an object or a dictionary; None if it is absent.

    Airflow computes some fields on access, and raises if a callback runs without a task.
    """
    if thing is None:
        return None
    try:
        return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a missing fact must not cost the alert
        return None


def _first(*values: Any) -> Any:
    return next((value for value in values if value not in {None, ""}), "")


def utc_now() -> datetime:
    return datetime.now(UTC)
