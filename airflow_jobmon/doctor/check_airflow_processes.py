"""Checks of Airflow's own processes: the scheduler that runs the alerts DAG, and the triggerer that watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.check_metadata_db import read_session
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, listed, ok, warning, wrong

_NEARLY_FULL = 0.9
_TAKEN_WITHIN = timedelta(minutes=1)
"""A triggerer takes new triggers about every second, and those of a dead triggerer after half a minute."""


def scheduler(_: CheckedInstallation) -> Iterator[CheckResult]:
    with read_session() as session:
        yield _alive(session, "SchedulerJob", "scheduler", "no DAG runs that would deliver alerts")


def triggerer(_: CheckedInstallation) -> Iterator[CheckResult]:
    with read_session() as session:
        yield _alive(session, "TriggererJob", "triggerer", "no watcher runs in Airflow")


def watching_trigger(_: CheckedInstallation) -> Iterator[CheckResult]:
    """Whether a live triggerer runs the trigger of the alerts asset."""
    with read_session() as session:
        alive = {job.id: job for job in _jobs(session, "TriggererJob") if job.is_alive()}
        triggers = _watcher_triggers(session)
        running = [trigger for trigger in triggers if trigger.triggerer_id in alive]
        if running:
            yield ok(f"runs in the triggerer on {listed(sorted({alive[t.triggerer_id].hostname for t in running}))}")
        elif not triggers:
            yield wrong(
                "the alerts asset has no trigger, so no triggerer watches",
                "see the check `alerts dag`: parsing an unpaused DAG on the asset creates the trigger",
            )
        else:
            yield _unassigned(triggers, alive)


def capacity(_: CheckedInstallation) -> Iterator[CheckResult]:
    """Airflow assigns asset triggers last: if the triggerers are full, the watcher is the first to get no slot."""
    from airflow.configuration import conf  # noqa: PLC0415
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import func, select  # noqa: PLC0415

    each = conf.getint("triggerer", "capacity", fallback=1000)
    with read_session() as session:
        alive = [job for job in _jobs(session, "TriggererJob") if job.is_alive()]
        ids = [job.id for job in alive]
        used = session.scalar(select(func.count(Trigger.id)).where(Trigger.triggerer_id.in_(ids))) or 0
        waiting = session.scalar(
            select(func.count(Trigger.id)).where(Trigger.triggerer_id.is_(None) | Trigger.triggerer_id.not_in(ids))
        )
        ours_runs = any(trigger.triggerer_id in ids for trigger in _watcher_triggers(session))
    slots = each * len(alive)
    if not slots:
        yield warning("no triggerer is alive, so there is no capacity", "start one: `airflow triggerer`")
        return
    waiting_triggers = counted(waiting or 0, "trigger")
    seen = f"{used} of {slots} slots used ({len(alive)} x [triggerer] capacity {each}), {waiting_triggers} waiting"
    advice = "start another triggerer, raise [triggerer] capacity, or watch with `airflow jobmon listen`"
    if used >= slots and not ours_runs:
        yield wrong(f"the triggerers are full, and our watcher is among the waiting triggers: {seen}", advice)
    elif used >= slots * _NEARLY_FULL:
        how = "full" if used >= slots else "nearly full"
        yield warning(
            f"{how}: {seen}. Airflow assigns asset watchers last: after a restart, ours may get no slot", advice
        )
    else:
        yield ok(seen)


def _unassigned(triggers: Sequence[Any], alive: dict[int, Any]) -> CheckResult:
    age = datetime.now(UTC) - max(trigger.created_date for trigger in triggers)
    if not alive:
        where = "was in a triggerer that is dead" if triggers[0].triggerer_id else "waits for a triggerer"
        return wrong(f"the trigger of the alerts asset {where}, and none is alive", "start one: `airflow triggerer`")
    if age < _TAKEN_WITHIN:
        return warning(
            f"the trigger of the alerts asset is {roughly(age)} old and waits for a triggerer",
            "check again in a minute",
        )
    return wrong(
        "no live triggerer runs the trigger of the alerts asset: it waits for a slot",
        "see the check `triggerer capacity`; if there are free slots, read the log of the triggerer",
    )


def _alive(session: Any, job_type: str, name: str, consequence: str) -> CheckResult:
    jobs = _jobs(session, job_type)
    alive = [job for job in jobs if job.is_alive()]
    if alive:
        return ok(f"alive on {listed(sorted({job.hostname or '(unknown host)' for job in alive}))}")
    last = ""
    if jobs and jobs[0].latest_heartbeat:
        silent = roughly(datetime.now(UTC) - jobs[0].latest_heartbeat)
        how = "sent its last heartbeat" if jobs[0].state == "running" else "ended"
        last = f" (the last, on {jobs[0].hostname}, {how} {silent} ago)"
    return wrong(f"no {name} is alive{last}: {consequence}", f"start one: `airflow {name}`")


def _jobs(session: Any, job_type: str) -> Sequence[Any]:
    """The newest by heartbeat, since dead ones stay in Airflow's table."""
    from airflow.jobs.job import Job  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    newest = select(Job).where(Job.job_type == job_type).order_by(Job.latest_heartbeat.desc()).limit(50)
    return list(session.scalars(newest))


def _watcher_triggers(session: Any) -> Sequence[Any]:
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    [watcher] = jobmon_alerts_asset.watchers
    classpath, _ = watcher.trigger.serialize()
    found = select(Trigger.id, Trigger.triggerer_id, Trigger.created_date).where(Trigger.classpath == classpath)
    return list(session.execute(found))
