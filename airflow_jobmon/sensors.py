"""The sensor that waits for a job that runs outside Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.waits import Wait, check_handling, check_job_name, default_since, shortfall, since_when
from airflow_jobmon.core.times import iso
from airflow_jobmon.errors import ConnectionProblem, JobmonError
from airflow_jobmon.links import JobPageLink
from airflow_jobmon.triggers import DEFAULT_CONN_ID, JobsLogTrigger, run_of, run_payload

if TYPE_CHECKING:
    from airflow.sdk import Context


class JobsLogSensor(BaseSensorOperator):
    """Waits for the first finished run of a job that started at or after `since`; its XCom is that run.

    job_name: the name under which the job logs its runs (templated).
    since: a datetime (without an offset: UTC), a timedelta or text such as `2h` to count back from the DAG run's
        `run_after`, or a template that renders to one of these. Default: the start of the data interval if the interval
        has width, otherwise the job's latest slot at or before `run_after`, minus the `early` by which a run may start
        before its slot. For a job without a schedule: `run_after` minus its `every`.
    on_failed_run: what to do on a failed run. `fail` fails the task at once, without retries, since a retry would find
        the same run; `skip` skips the task; `wait` waits for a later run that succeeds.
    min_records: a run that logged fewer records than this, or no count, counts as failed.
    deferrable: wait in the triggerer, where all waits share one connection, instead of in a worker slot.

    Raises a JobmonError of one line if the database cannot be used; `soft_fail` does not turn that into a skip,
    `never_fail` does.
    """

    template_fields: Sequence[str] = ("job_name", "since")
    operator_extra_links = (JobPageLink(),)
    ui_color = "#e3ecfa"

    def __init__(
        self,
        *,
        job_name: str,
        since: datetime | timedelta | str | None = None,
        on_failed_run: str = "fail",
        min_records: int | None = None,
        conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_handling(on_failed_run, min_records)
        self.job_name = job_name
        self.since = since
        self.on_failed_run = on_failed_run
        self.min_records = min_records
        self.conn_id = conn_id
        # Read here: as a default argument, it would read Airflow's configuration when this module is imported.
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )

        self._reset()

    def _reset(self) -> None:
        """Start afresh: dag.test() executes the same operator object for each try and run."""
        self._wait: Wait | None = None
        self._reached = False

    def execute(self, context: Context) -> Any:
        self._reset()
        if not self.deferrable:
            return super().execute(context)
        try:
            run = self._find_run(context)
        except ConnectionProblem as error:
            # A permanent problem fails the task here, at once; the trigger waits for a server that is only down.
            if self._wait is None or _is_refusal(error):
                raise self._exception_for(error) from error
            self.log.warning("%s. Waiting in the triggerer until it is back.", error)
            run = None
        except JobmonError as error:
            raise self._exception_for(error) from error
        if run is not None:
            return self._xcom_or_raise(run)
        return self._defer(self._wait)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        try:
            run = self._find_run(context)
        except ConnectionProblem as error:
            if not self._reached or _is_refusal(error):
                raise
            self.log.warning("%s. It was reached before, so trying again at the next poke.", error)
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._xcom_or_raise(run)) if run else False

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """End the wait with the trigger's event, which holds the whole run: dag.test() drops the kwargs of defer."""
        if event is None or "error" in event:
            raise self._exception_for(JobmonError((event or {}).get("error", "the trigger ended without an event")))
        return self._xcom_or_raise(run_of(event["run"]))

    def _defer(self, wait: Wait | None) -> NoReturn:
        assert wait is not None  # noqa: S101 - _find_run has set it
        self.defer(
            trigger=JobsLogTrigger.waiting_for(wait, self.conn_id),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _find_run(self, context: Context) -> Run | None:
        """Look for the run on a connection of its own; the first call also resolves what to wait for."""
        from airflow_jobmon.postgres.waits import connect, finished_run, registered_job  # noqa: PLC0415
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415 - psycopg, which a DAG file need not load

        if self._wait is None:
            check_job_name(self.job_name)
            since = self._given_since(context)
            self._wait = None if since is None else self._wait_from(since)
        with connect(conninfo(self.conn_id)) as conn:
            if self._wait is None:
                self._wait = self._wait_from(default_since(registered_job(conn, self.job_name), _run_after(context)))
            run = finished_run(conn, self._wait)
        self._reached = True
        return run

    def _given_since(self, context: Context) -> datetime | None:
        """The `since` that was given or that the data interval sets; None if it depends on the job."""
        if self.since is not None:
            return since_when(self.since, _run_after(context))
        # Absent from a run without a logical date, and without width in a DAG on a cron trigger.
        start, end = context.get("data_interval_start"), context.get("data_interval_end")
        return since_when(start, _run_after(context)) if start and end and start < end else None

    def _wait_from(self, since: datetime) -> Wait:
        self.log.info("Waiting for the first finished run of %r that started at or after %s", self.job_name, iso(since))
        return Wait(self.job_name, since, self.on_failed_run == "wait", self.min_records)

    def _xcom_or_raise(self, run: Run) -> dict[str, Any]:
        """The XCom of a run. Raises if the run failed, in the same way in all modes, so not left to the base class."""
        if (reason := shortfall(run, self.min_records)) is None:
            return run_payload(run)
        message = f"job {run.job_name!r}, run {run.id} started {iso(run.started_at)}: {reason}"
        if self.on_failed_run == "skip" or self.soft_fail or self.never_fail:
            raise AirflowSkipException(message)
        raise AirflowFailException(message)

    def _exception_for(self, error: JobmonError) -> Exception:
        """The exception to raise, as in the base class: `never_fail` skips the task, `soft_fail` does not."""
        return AirflowSkipException(str(error)) if self.never_fail else error


def _run_after(context: Context) -> datetime:
    run_after: datetime = context["dag_run"].run_after
    return run_after


def _is_refusal(error: ConnectionProblem) -> bool:
    from airflow_jobmon.postgres.waits import is_refusal  # noqa: PLC0415 - psycopg, which a DAG file need not load

    return is_refusal(error)
