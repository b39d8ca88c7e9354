"""Checks of the DAGs that the alerts asset triggers: found by the asset, whatever their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.check_metadata_db import read_session
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, listed, ok, warning, wrong

_NOT_PARSED = timedelta(minutes=10)
_HANGING = timedelta(minutes=10)

_ADD_ONE = (
    "put dags/jobmon_alerts.py (or your own DAG with schedule=[jobmon_alerts_asset] and DeliverAlertsOperator) in the "
    "DAGs folder, or run `airflow jobmon listen`"
)


def alerts_dag(_: CheckedInstallation) -> Iterator[CheckResult]:
    """Whether at least one DAG can be triggered."""
    with read_session() as session:
        found = _consumers(session)
        if not found:
            errors = _import_errors(session)
            if errors:
                yield wrong(
                    "no DAG is scheduled on the alerts asset, and a file that may hold one has an import error: "
                    f"{errors[0]}",
                    "correct that file",
                )
            else:
                yield wrong("no DAG is scheduled on the alerts asset, so no triggerer watches", _ADD_ONE)
            return
        ready = [dag for dag in found if not _problem(session, dag)]
        if ready:
            are = "is" if len(ready) == 1 else "are"
            yield ok(f"{listed(dag.dag_id for dag in ready)} {are} triggered by the alerts asset")
            return
        for dag in found:
            seen, advice = _problem(session, dag) or ("", "")
            yield wrong(f"DAG {dag.dag_id} {seen}", advice, about=dag.dag_id)


def alerts_runs(_: CheckedInstallation) -> Iterator[CheckResult]:
    """The newest run of each of these DAGs: a run that hangs keeps the next one from starting."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    with read_session() as session:
        dags = _consumers(session)
        runs = [
            run
            for dag in dags
            if (
                run := session.scalar(
                    select(DagRun).where(DagRun.dag_id == dag.dag_id).order_by(DagRun.id.desc()).limit(1)
                )
            )
        ]
    all_well = True
    for run in runs:
        began = run.start_date or run.queued_at
        age = datetime.now(UTC) - began if began else timedelta(0)
        if run.state in {"queued", "running"} and age > _HANGING:
            all_well = False
            yield warning(
                f"run {run.run_id} of DAG {run.dag_id} has been {run.state} for {roughly(age)}; "
                "the next run waits for it",
                "look at its task in Airflow, and mark it failed if it hangs",
                about=run.dag_id,
            )
        elif run.state == "failed":
            all_well = False
            yield warning(
                f"the newest run of DAG {run.dag_id}, {run.run_id}, failed",
                "read the log of its task in Airflow; the next event triggers a new run",
                about=run.dag_id,
            )
    if all_well:
        yield ok("the newest run is fine" if runs else "has not run yet")


def _consumers(session: Any) -> Sequence[Any]:
    from airflow.models.asset import (  # noqa: PLC0415
        AssetModel,
        DagScheduleAssetNameReference,
        DagScheduleAssetReference,
        DagScheduleAssetUriReference,
    )
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from sqlalchemy import or_, select  # noqa: PLC0415

    name, uri = jobmon_alerts_asset.name, jobmon_alerts_asset.uri
    by_name, by_uri = DagScheduleAssetNameReference, DagScheduleAssetUriReference
    scheduled = (
        select(DagScheduleAssetReference.dag_id)
        .join(AssetModel, AssetModel.id == DagScheduleAssetReference.asset_id)
        .where(AssetModel.name == name, AssetModel.uri == uri)
    )
    found = session.execute(
        select(
            DagModel.dag_id,
            DagModel.is_paused,
            DagModel.is_stale,
            DagModel.last_parsed_time,
            DagModel.has_import_errors,
            DagModel.relative_fileloc,
            DagModel.fileloc,
            DagModel.bundle_name,
        )
        .where(
            or_(
                DagModel.dag_id.in_(scheduled),
                DagModel.dag_id.in_(select(by_name.dag_id).where(by_name.name == name)),
                DagModel.dag_id.in_(select(by_uri.dag_id).where(by_uri.uri == uri)),
            )
        )
        .order_by(DagModel.dag_id)
    )
    return list(found)


def _problem(session: Any, dag: Any) -> tuple[str, str] | None:
    """Why this DAG cannot be triggered, and what to do about it; None if it can."""
    file = dag.relative_fileloc or dag.fileloc or "(of unknown path)"
    if dag.has_import_errors:
        why = _import_errors(session, dag)
        return f"has an import error: {why[0] if why else file}", "correct that file"
    if dag.is_stale:
        return (
            f"is gone: the last time Airflow parsed its file {file}, the DAG was not in it",
            "restore the file, or wait for the DAG processor to parse it",
        )
    if dag.is_paused:
        return (
            "is paused: until it is unpaused, no triggerer watches",
            f"`airflow dags unpause {dag.dag_id}`, or run `airflow jobmon listen`",
        )
    since = datetime.now(UTC) - dag.last_parsed_time if dag.last_parsed_time else None
    if since is None or since > _parse_limit():
        ago = f"was last parsed {roughly(since)} ago" if since else "was never parsed"
        return f"{ago}: no DAG processor parses its file", "start one: `airflow dag-processor`"
    return None


def _parse_limit() -> timedelta:
    """Age from which the last parsing is too old: several intervals of the DAG processor, as it is configured."""
    from airflow.configuration import conf  # noqa: PLC0415

    interval = conf.getfloat("dag_processor", "min_file_process_interval", fallback=30.0)
    return max(_NOT_PARSED, timedelta(seconds=3 * interval))


def _import_errors(session: Any, dag: Any = None) -> list[str]:
    """Import errors of this DAG's file, or, without a DAG, of files that mention this package."""
    from airflow.models.errors import ParseImportError  # noqa: PLC0415
    from sqlalchemy import or_, select  # noqa: PLC0415

    query = select(ParseImportError.filename, ParseImportError.stacktrace).order_by(ParseImportError.id.desc()).limit(5)
    if dag is not None:
        query = query.where(
            ParseImportError.filename == dag.relative_fileloc, ParseImportError.bundle_name == dag.bundle_name
        )
    else:
        ours = ParseImportError.stacktrace.contains("airflow_jobmon")
        query = query.where(or_(ours, ParseImportError.filename.contains("jobmon")))
    return [
        fit(one_line(f"{filename}: {(stacktrace or '').strip().rpartition(chr(10))[2]}"), 300)
        for filename, stacktrace in session.execute(query)
    ]
