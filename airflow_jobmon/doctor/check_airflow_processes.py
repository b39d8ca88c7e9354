"""Checks of Airflow's own processes: the scheduler that runs the alerts DAG, and the triggerer that watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.check_metadata_db import read
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, listed, ok, warning, wrong

_NEARLY_FULL = 0.9
_TAKEN_WITHIN = timedelta(minutes=1)
"""A triggerer looks for new triggers each second or so, and for those of a dead one after half a minute."""


def scheduler(_: Patient) -> Iterator[Diagnosis]:
    with read() as session:
        yield _living(session, "SchedulerJob", "scheduler", "no DAG that delivers is run")


def triggerer(_: Patient) -> Iterator[Diagnosis]:
    with read() as session:
        yield _living(session, "TriggererJob", "triggerer", "nothing watches in Airflow")


def watching_trigger(_: Patient) -> Iterator[Diagnosis]:
    """Where the trigger of the alerts asset runs."""
    with read() as session:
        alive = {job.id: job for job in _jobs(session, "TriggererJob") if job.is_alive()}
        triggers = _watching(session)
        held = [trigger for trigger in triggers if trigger.triggerer_id in alive]
        if held:
            yield ok(f"runs in the triggerer on {listed(sorted({alive[t.triggerer_id].hostname for t in held}))}")
        elif not triggers:
            yield wrong(
                "the alerts asset has no trigger, so no triggerer watches",
                "see what is said of the alerts DAG: the DAG processor sets the trigger when it parses one that is on",
            )
        else:
            yield _homeless(triggers, alive)


def capacity(_: Patient) -> Iterator[Diagnosis]:
    """Asset triggers are handed out last: in full triggerers, the watcher is the first that finds no place."""
    from airflow.configuration import conf  # noqa: PLC0415
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import func, select  # noqa: PLC0415

    each = conf.getint("triggerer", "capacity", fallback=1000)
    with read() as session:
        alive = [job for job in _jobs(session, "TriggererJob") if job.is_alive()]
        ids = [job.id for job in alive]
        held = session.scalar(select(func.count(Trigger.id)).where(Trigger.triggerer_id.in_(ids))) or 0
        homeless = session.scalar(
            select(func.count(Trigger.id)).where(Trigger.triggerer_id.is_(None) | Trigger.triggerer_id.not_in(ids))
        )
        placed = any(trigger.triggerer_id in ids for trigger in _watching(session))
    room = each * len(alive)
    if not room:
        yield warning("no triggerer is alive, so there is no room at all", "start one: `airflow triggerer`")
        return
    seen = (
        f"{held} of {room} places taken ({len(alive)} x [triggerer] capacity {each}), {homeless or 0} waiting for one"
    )
    advice = "start another triggerer, or raise [triggerer] capacity; or watch by `airflow jobmon listen`"
    if held >= room and not placed:
        yield wrong(f"the triggerers are full, and our watcher is among those that wait: {seen}", advice)
    elif held >= room * _NEARLY_FULL:
        how = "full" if held >= room else "nearly full"
        yield warning(
            f"{how}: {seen}. Airflow gives places to asset watchers last: after a restart ours may get none", advice
        )
    else:
        yield ok(seen)


def _homeless(triggers: Sequence[Any], alive: dict[int, Any]) -> Diagnosis:
    age = datetime.now(UTC) - max(trigger.created_date for trigger in triggers)
    if not alive:
        where = "was in a triggerer that is dead" if triggers[0].triggerer_id else "waits for a triggerer"
        return wrong(f"the trigger of the alerts asset {where}, and none is alive", "start one: `airflow triggerer`")
    if age < _TAKEN_WITHIN:
        return warning(
            f"the trigger of the alerts asset is {roughly(age)} old and waits for a triggerer", "look again in a minute"
        )
    return wrong(
        "the trigger of the alerts asset is in no triggerer that is alive: it waits for a place",
        "see what is said of capacity; where there is room, the triggerer's log says why",
    )


def _living(session: Any, job_type: str, name: str, consequence: str) -> Diagnosis:
    jobs = _jobs(session, job_type)
    alive = [job for job in jobs if job.is_alive()]
    if alive:
        return ok(f"alive on {listed(sorted({job.hostname or '(unknown host)' for job in alive}))}")
    last = ""
    if jobs and jobs[0].latest_heartbeat:
        silent = roughly(datetime.now(UTC) - jobs[0].latest_heartbeat)
        how = "gave its last sign of life" if jobs[0].state == "running" else "ended"
        last = f" (the last, on {jobs[0].hostname}, {how} {silent} ago)"
    return wrong(f"no {name} is alive{last}: {consequence}", f"start one: `airflow {name}`")


def _jobs(session: Any, job_type: str) -> Sequence[Any]:
    """The newest by heartbeat; dead ones stay in Airflow's table for ever."""
    from airflow.jobs.job import Job  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    newest = select(Job).where(Job.job_type == job_type).order_by(Job.latest_heartbeat.desc()).limit(50)
    return list(session.scalars(newest))


def _watching(session: Any) -> Sequence[Any]:
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    [watcher] = jobmon_alerts_asset.watchers
    classpath, _ = watcher.trigger.serialize()
    found = select(Trigger.id, Trigger.triggerer_id, Trigger.created_date).where(Trigger.classpath == classpath)
    return list(session.execute(found))
