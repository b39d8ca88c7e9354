"""Runs drills with Airflow's connections: they set the time limit of each channel and how to call a job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from airflow_jobmon.core.drills.drills import (
    END_TO_END,
    FAILURE,
    MISSED,
    WITHIN,
    DrillResult,
    check_drill,
    limit_of,
    quoted,
)
from airflow_jobmon.core.drills.end_to_end import EndToEndPlan
from airflow_jobmon.core.times import format_duration
from airflow_jobmon.drills.end_to_end import Call, run_end_to_end_drill
from airflow_jobmon.drills.failure import run_failure_drill
from airflow_jobmon.drills.missed import run_missed_drill
from airflow_jobmon.drills.session import DrillOptions
from airflow_jobmon.errors import ConfigurationError, ConnectionProblem
from airflow_jobmon.monitoring.checks import evaluate_events
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.drill_sql import run_sql
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.runtime.connections import connection_type, conninfo
from airflow_jobmon.runtime.deliver import deliver as deliver_due_alerts
from airflow_jobmon.settings import Settings


def run_drill(
    drill: str,
    job_name: str,
    settings: Settings,
    *,
    conn_id: str | None = None,
    within: timedelta | None = None,
    deliver: bool = False,
    off_pg_cron: bool = False,
    cron_job: str | None = None,
    plan: EndToEndPlan | None = None,
) -> DrillResult:
    """Run one drill to its end; the result says whether it passed.

    within: how long each channel, and the evaluation, may take, instead of a minute (five for mail). deliver: also
    evaluate and deliver in this process, which verifies the channels, but not that a watcher is alive. Raises a
    JobmonError if the drill cannot be run; nothing was changed then.
    """
    check_drill(drill, job_name)
    where = conninfo(conn_id or settings.conn_id)
    limits = cache(lambda name: within or limit_of(connection_type(name)))
    options = DrillOptions(limits, within or WITHIN, _deliver(where, settings) if deliver else None)
    with connect(where) as conn:
        check_schema(conn)
        if drill == FAILURE:
            return run_failure_drill(conn, settings, job_name, options)
        if drill == MISSED:
            return run_missed_drill(conn, settings, job_name, options, off_pg_cron=off_pg_cron, cron_job=cron_job)
        if plan is None:
            raise ConfigurationError(f"an {END_TO_END} drill needs a plan: how to call the job, and what it should do")
        return run_end_to_end_drill(conn, job_name, plan, options, call=_caller(plan, where))


def _deliver(where: str, settings: Settings) -> Callable[[], None]:
    def deliver() -> None:
        with connect(where) as conn:
            while evaluate_events(conn, settings).events:
                pass
        deliver_due_alerts(where, settings)

    return deliver


def _caller(plan: EndToEndPlan, where: str) -> Call:
    sql = plan.trigger_sql
    if sql is None:
        import airflow.providers.http.hooks.http  # noqa: F401, PLC0415 - now, so that its import is not timed with the call

        return lambda _: call_by_http(plan)
    return lambda values: call_by_sql(sql, values, where, plan.timeout)


def call_by_sql(sql: str, values: Mapping[str, Any], where: str, timeout: timedelta) -> str:
    """Call the job on a separate connection, outside any transaction block: a procedure may commit as it goes.

    Cancelled after `timeout`. Raises ConfigurationError with the server's message.
    """
    expired = threading.Event()
    with connect(where) as conn:
        # Not by statement_timeout, which a pooler would pass on to other clients with the session.
        def cancel() -> None:
            expired.set()
            conn.cancel()

        timer = threading.Timer(timeout.total_seconds(), cancel)
        timer.start()
        try:
            run_sql(conn, sql, values, what="trigger_sql")
        except ConfigurationError as error:
            if expired.is_set():
                raise ConfigurationError(f"{error}: it took longer than {format_duration(timeout)}") from None
            raise
        finally:
            timer.cancel()
    return "the SQL ran"


def call_by_http(plan: EndToEndPlan) -> str:
    """Call the job as an edge function. Raises ConnectionProblem unless the response status is below 400."""
    import requests  # noqa: PLC0415 - a second of imports, only needed for a call by HTTP
    from airflow.providers.http.hooks.http import HttpHook  # noqa: PLC0415

    conn_id = plan.http_conn_id or ""
    hook = HttpHook(method=plan.method, http_conn_id=conn_id)
    body = {"data": plan.data} if plan.data is None or isinstance(plan.data, str) else {"json": plan.data}
    options = {"timeout": plan.timeout.total_seconds(), "check_response": False}
    try:
        answer = hook.run(plan.endpoint, headers=dict(plan.headers) or None, extra_options=options, **body)
    except (requests.RequestException, OSError, ValueError) as error:
        raise ConnectionProblem(f"connection {conn_id!r}: the call failed: {quoted(str(error))}") from None
    except Exception as error:
        if type(error).__module__.startswith("airflow"):
            raise ConnectionProblem(f"connection {conn_id!r}: {quoted(str(error))}") from None
        raise
    said = f"{answer.status_code} {answer.reason}"
    if answer.status_code >= 400:
        raise ConnectionProblem(f"connection {conn_id!r}: it answered {said}: {quoted(answer.text) or '(nothing)'}")
    return said
