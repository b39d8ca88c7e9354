"""The end-to-end drill (Test 3): calls the real job on test data and checks the result; the run is a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from airflow_jobmon.core.drills.drills import END_TO_END, DrillResult, quoted
from airflow_jobmon.core.drills.end_to_end import EndToEndPlan, as_text
from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import Wait, shortfall
from airflow_jobmon.core.times import format_duration, to_the_second
from airflow_jobmon.drills.session import Connection, Drill, DrillOptions, drill_session
from airflow_jobmon.errors import ConfigurationError, JobmonError
from airflow_jobmon.postgres.drill_sql import run_sql
from airflow_jobmon.postgres.waits import finished_run

Call = Callable[[Mapping[str, Any]], str]
"""Calls the job, given the values that identify the test data; returns the response in words. Raises JobmonError."""


def run_end_to_end_drill(
    conn: Connection, job_name: str, plan: EndToEndPlan, options: DrillOptions, *, call: Call
) -> DrillResult:
    """Create test data, call the job, wait for its run, check the result, and always remove the test data.

    Raises ConfigurationError if the test data cannot be created; nothing was changed then.
    """
    with drill_session(conn, END_TO_END, job_name, options, cleanup_sql=plan.cleanup_sql) as drill:
        values = _create_test_data(drill, plan)
        try:
            _try_job(drill, plan, values, call)
        finally:
            if plan.cleanup_sql is not None:
                drill.clean_up("test data removed", lambda: _remove(drill, plan, values))
    return drill.result


def _create_test_data(drill: Drill, plan: EndToEndPlan) -> dict[str, Any]:
    """Record it in the same transaction, so that test data never exists without a record of how to find it."""
    values: dict[str, Any] = {"job_name": drill.job_name}
    if plan.setup_sql is not None:
        with drill.conn.transaction():
            values |= run_sql(drill.conn, plan.setup_sql, values, what="setup_sql")
            drill.journal.keep_test_data(values)
        known = ", ".join(f"{name}={value}" for name, value in values.items() if name != "job_name")
        drill.add("test data created", "committed", quoted(known or "setup_sql returned no values"), ok=True)
    return values


def _try_job(drill: Drill, plan: EndToEndPlan, values: Mapping[str, Any], call: Call) -> None:
    called_at = drill.journal.now()
    if not _called(drill, plan, values, call, called_at):
        return
    run = drill.wait(lambda: finished_run(drill.conn, Wait(drill.job_name, called_at)), plan.timeout)
    _ran(drill, plan, run, called_at)
    if plan.check_sql is not None:
        _check(drill, plan.check_sql, str(plan.expected), values)


def _called(drill: Drill, plan: EndToEndPlan, values: Mapping[str, Any], call: Call, called_at: datetime) -> bool:
    """Call in a thread, since the call may take as long as the job."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobmon-drill") as pool:
        calling: Future[str] = pool.submit(call, values)
        drill.wait(lambda: calling if calling.done() else None, plan.timeout + timedelta(minutes=1))
        try:
            observed, ok = calling.result(), True
        except JobmonError as error:
            observed, ok = str(error), False
    seconds = (drill.journal.now() - called_at).total_seconds()
    drill.add("job called", "accepted", quoted(observed), ok=ok, seconds=seconds)
    return ok


def _ran(drill: Drill, plan: EndToEndPlan, run: Run | None, called_at: datetime) -> None:
    within = format_duration(plan.timeout)
    if run is None:
        newest = drill.journal.newest_start(drill.job_name)
        observed = f"no run of {drill.job_name} that started after {to_the_second(called_at)} ended within {within}"
        if newest is not None:
            observed += f"; the newest one started {to_the_second(newest)}"
            if called_at - timedelta(minutes=1) < newest < called_at:
                observed += ", just before the call: is the clock of the machine that logs it slow?"
        drill.add("run logged", f"a finished run within {within}", observed, ok=False)
        return
    failed = shortfall(run, None)
    drill.add(
        "run logged",
        f"a success within {within}",
        quoted(f"run {run.id}: {failed or run.status}"),
        ok=failed is None,
        seconds=((run.completed_at or run.started_at) - called_at).total_seconds(),
    )
    if plan.min_records is not None:
        records = run.records_updated
        drill.add(
            "records_updated",
            f">= {plan.min_records}",
            "none logged" if records is None else str(records),
            ok=(records or 0) >= plan.min_records,
        )


def _check(drill: Drill, check_sql: str, expected: str, values: Mapping[str, Any]) -> None:
    try:
        row = run_sql(drill.conn, check_sql, values, what="check_sql")
    except ConfigurationError as error:
        observed, ok = str(error), False
    else:
        found = next(iter(row.values()), None)
        observed = "no row" if not row else "null" if found is None else as_text(found)
        ok = found is not None and observed == expected
    drill.add("job did its work", expected, quoted(observed), ok=ok)


def _remove(drill: Drill, plan: EndToEndPlan, values: Mapping[str, Any]) -> str:
    assert plan.cleanup_sql is not None  # noqa: S101 - asked before
    with drill.conn.transaction():
        run_sql(drill.conn, plan.cleanup_sql, values, what="cleanup_sql")
        drill.journal.forget_leftovers()
    return "removed"
