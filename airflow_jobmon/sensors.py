"""Waiting for a job that runs outside Airflow."""

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
    """Waits for the first finished run of a job that started at or after `since`, and gives that run as its XCom.

    job_name: the name the job logs its runs under (templated).
    since: a datetime (without an offset: UTC), a timedelta or text like `2h` back from the DAG run's `run_after`, or a
        template that renders to one of these. Default: the start of the data interval if that has width, else the
        job's latest slot at or before `run_after`, less the `early` by which a run may start before its slot. A job
        without a schedule: `run_after` less its `every`.
    on_failed_run: what a failed run does. `fail` fails the task at once, without retries, since a retry would find the
        same run; `skip` skips it; `wait` goes on until a later run is good.
    min_records: a run that logged fewer records than this, or no count, counts as failed.
    deferrable: wait in the triggerer, where all waits share one connection, rather than in a worker's slot.

    Raises a JobmonError of one line where the database cannot be used: `soft_fail` does not hide that, `never_fail`
    does.
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
        # Read here and not as a default, which would read Airflow's configuration when this module is imported.
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )

        self._forget()

    def _forget(self) -> None:
        """Begin anew: dag.test() executes one operator object for every try and run."""
        self._wait: Wait | None = None
        self._reached = False

    def execute(self, context: Context) -> Any:
        self._forget()
        if not self.deferrable:
            return super().execute(context)
        try:
            run = self._look(context)
        except ConnectionProblem as error:
            # What is wrong for good is better said here, at once; a server that is only away is waited for below.
            if self._wait is None or _is_refusal(error):
                raise self._trouble(error) from error
            self.log.warning("%s. Waiting for it in the triggerer.", error)
            run = None
        except JobmonError as error:
            raise self._trouble(error) from error
        if run is not None:
            return self._settled(run)
        return self._defer(self._wait)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        try:
            run = self._look(context)
        except ConnectionProblem as error:
            if not self._reached or _is_refusal(error):
                raise
            self.log.warning("%s. It answered before, so trying again at the next poke.", error)
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._settled(run)) if run else False

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Where the trigger's event leads; all that is needed is in it, since dag.test() drops defer's kwargs."""
        if event is None or "error" in event:
            raise self._trouble(JobmonError((event or {}).get("error", "the trigger ended without an event")))
        return self._settled(run_of(event["run"]))

    def _defer(self, wait: Wait | None) -> NoReturn:
        assert wait is not None  # noqa: S101 - a look that found nothing has resolved it
        self.defer(
            trigger=JobsLogTrigger.waiting_for(wait, self.conn_id),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _look(self, context: Context) -> Run | None:
        """One short query on a connection of its own; the first look also settles what is waited for."""
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
        """Where to look from, unless that takes what is known of the job."""
        if self.since is not None:
            return since_when(self.since, _run_after(context))
        # Absent in a run without a logical date; of no width in a DAG on a cron trigger.
        start, end = context.get("data_interval_start"), context.get("data_interval_end")
        return since_when(start, _run_after(context)) if start and end and start < end else None

    def _wait_from(self, since: datetime) -> Wait:
        self.log.info("Waiting for the first finished run of %r that started at or after %s", self.job_name, iso(since))
        return Wait(self.job_name, since, self.on_failed_run == "wait", self.min_records)

    def _settled(self, run: Run) -> dict[str, Any]:
        """The XCom of a good run. Raises for another, naming it; alike in all modes, so not left to the base class."""
        if (reason := shortfall(run, self.min_records)) is None:
            return run_payload(run)
        message = f"job {run.job_name!r}, run {run.id} started {iso(run.started_at)}: {reason}"
        if self.on_failed_run == "skip" or self.soft_fail or self.never_fail:
            raise AirflowSkipException(message)
        raise AirflowFailException(message)

    def _trouble(self, error: JobmonError) -> Exception:
        """As the base class does it for a poke: `never_fail` skips, `soft_fail` does not hide a database in trouble."""
        return AirflowSkipException(str(error)) if self.never_fail else error


def _run_after(context: Context) -> datetime:
    run_after: datetime = context["dag_run"].run_after
    return run_after


def _is_refusal(error: ConnectionProblem) -> bool:
    from airflow_jobmon.postgres.waits import is_refusal  # noqa: PLC0415 - psycopg, which a DAG file need not load

    return is_refusal(error)
