"""JobHealthOperator: check the health of jobs that run outside Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError
from airflow_jobmon.links import JobPageLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
    from airflow_jobmon.core.model.health import JobHealth

_FAILING = {"warning": {"warning", "critical"}, "critical": {"critical"}}


class JobHealthOperator(BaseOperator):
    """Check the health of all jobs, or of one: record incidents, send new alerts, return the health as XCom.

    :param jobs: the jobs to register, with what you expect of them (MonitoredJob or a mapping of its fields). The task
        owns these entries: a job removed from the list is removed from the registry.
    :param job_name: check this job only. Templated.
    :param fail_on: fail the task if a job is this bad or worse: None (never), `warning` or `critical`.
    :param record: record incidents and create alerts; False only reads.
    :param deliver: send due alerts right away, in this task; False leaves them to the alerts DAG or to `listen`.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.
    """

    template_fields: Sequence[str] = ("job_name", "conn_id")
    operator_extra_links = (JobPageLink(),)
    ui_color = "#d9f0e4"

    def __init__(
        self,
        *,
        jobs: Iterable[MonitoredJob | Mapping[str, Any]] | None = None,
        job_name: str | None = None,
        fail_on: str | None = None,
        record: bool = True,
        deliver: bool = True,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if fail_on is not None and fail_on not in _FAILING:
            raise ValueError(f"fail_on={fail_on!r} is unknown; use None, 'warning' or 'critical'")
        self.jobs = None if jobs is None else list(jobs)
        self.job_name = job_name
        self.fail_on = fail_on
        self.record = record
        self.deliver = deliver
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_jobmon.core.model.health import health_report  # noqa: PLC0415 - keep the import light for DAG files

        try:
            healths = self._check(context)
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        report = health_report(healths, datetime.now(UTC))
        self.log.info("%d job(s): %s", len(healths), report["status"])
        self._fail_if_unhealthy(healths)
        return report

    def _check(self, context: Context) -> list[JobHealth]:
        from airflow_jobmon import settings as configuration  # noqa: PLC0415
        from airflow_jobmon.monitoring.checks import assess_jobs, check_and_record  # noqa: PLC0415
        from airflow_jobmon.postgres.connect import connect  # noqa: PLC0415
        from airflow_jobmon.postgres.migrate import check_schema  # noqa: PLC0415
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415
        from airflow_jobmon.runtime.deliver import deliver  # noqa: PLC0415

        settings = configuration.load()
        names = [self.job_name] if self.job_name else None
        where = conninfo(self.conn_id or settings.conn_id)
        with connect(where) as conn:
            check_schema(conn)
            if self.jobs is not None:
                self._register(conn, context)
            if not self.record:
                return assess_jobs(conn, settings, names)
            healths = check_and_record(conn, settings, names)
        if self.deliver:
            report = deliver(where, settings)
            self.log.info("delivered: %s", report.as_json())
        return healths

    def _register(self, conn: Any, context: Context) -> None:
        from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job  # noqa: PLC0415
        from airflow_jobmon.postgres.registry import apply_jobs  # noqa: PLC0415

        jobs = [job if isinstance(job, MonitoredJob) else read_job(dict(job)) for job in self.jobs or ()]
        task = context["ti"]
        dag_prefix = f"dag:{task.dag_id}/"
        tasks = context["dag"].task_ids

        def was_renamed(source: str) -> bool:
            """Whether the source is a task that this DAG no longer has: no other task would ever update its jobs."""
            return source.startswith(dag_prefix) and source.removeprefix(dag_prefix) not in tasks

        source = f"{dag_prefix}{task.task_id}"
        applied = apply_jobs(conn, jobs, source=source, prune=True, may_take_from=was_renamed)
        for what in ("added", "changed", "removed"):
            if names := getattr(applied, what):
                self.log.info("registry: %s %s", what, ", ".join(names))

    def _fail_if_unhealthy(self, healths: Sequence[JobHealth]) -> None:
        if self.fail_on is None:
            return
        bad = [health for health in healths if health.status.value in _FAILING[self.fail_on]]
        if bad:
            shown = "; ".join(
                f"{health.job_name}: {', '.join(found.message for found in health.findings)}" for health in bad[:10]
            )
            raise AirflowFailException(
                f"{len(bad)} of {len(healths)} job(s) are {self.fail_on} or worse: {shown}"
                + (f"; and {len(bad) - 10} more" if len(bad) > 10 else "")
            )
