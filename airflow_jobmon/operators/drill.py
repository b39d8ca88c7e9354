"""AlertDrillOperator: run an alert drill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_jobmon.core.drills.drills import DrillResult
    from airflow_jobmon.settings import Settings


class AlertDrillOperator(BaseOperator):
    """Run an alert drill, and fail if an alert does not arrive. XCom: its steps, even if it fails.

    :param drill: `failure`, `missed` or `end-to-end`. Templated, as all fields but `deliver`.
    :param job_name: the job to drill; any name for `failure`.
    :param plan: for `end-to-end`: how to call the job and the expected result, the fields of EndToEndPlan.
    :param channels: connection ids of the channels that receive the report, as a list or comma-separated; default is
        none. The drill's own alerts go to the channels of the job.
    :param within: the time limit of the evaluation and of each channel, instead of one minute (five for email): a
        timedelta, or text like `90s`.
    :param deliver: evaluate and deliver in this task too; verifies the channels, but not that a watcher is alive.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.
    """

    template_fields: Sequence[str] = ("drill", "job_name", "plan", "channels", "within", "conn_id")
    template_fields_renderers = {"plan": "json"}  # noqa: RUF012 - Airflow's attribute
    ui_color = "#f6e3fa"

    def __init__(
        self,
        *,
        drill: str = "failure",
        job_name: str,
        plan: Mapping[str, Any] | None = None,
        channels: Iterable[str] | str | None = None,
        within: timedelta | str | None = None,
        deliver: bool = False,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.drill = drill
        self.job_name = job_name
        self.plan = None if plan is None else dict(plan)
        self.channels = channels if channels is None or isinstance(channels, str) else list(channels)
        self.within = within
        self.deliver = deliver
        self.conn_id = conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from airflow_jobmon import settings as configuration  # noqa: PLC0415 - keep the import light for DAG files

        try:
            settings = configuration.load()
            result = self._hold(settings)
            unreported = self._report(settings, result)
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        steps = [step.as_json() for step in result.steps]
        for step in steps:
            self.log.info("%s", " | ".join(f"{name}: {value}" for name, value in step.items()))
        problems = [result.failures] if not result.passed else []
        problems += [f"the report did not reach {name}: {why}" for name, why in unreported.items()]
        if problems:
            context["ti"].xcom_push(key="return_value", value=steps)
            raise AirflowFailException(f"{self.drill} drill of {self.job_name}: {'; '.join(problems)}")
        return steps

    def _hold(self, settings: Settings) -> DrillResult:
        from airflow_jobmon.core.drills.drills import check_drill, read_within  # noqa: PLC0415
        from airflow_jobmon.core.drills.end_to_end import read_plan  # noqa: PLC0415
        from airflow_jobmon.runtime.drill import run_drill  # noqa: PLC0415

        check_drill(self.drill, self.job_name)
        plan = None if self.plan is None else read_plan(self.plan, source="plan")
        return run_drill(
            self.drill,
            self.job_name,
            settings,
            conn_id=self.conn_id,
            within=read_within(self.within),
            deliver=self.deliver,
            plan=plan,
        )

    def _report(self, settings: Settings, result: DrillResult) -> dict[str, str]:
        """The channels that did not receive the report, and why."""
        if not self.channels:
            return {}
        from airflow_jobmon.core.reports.drill_report import drill_report  # noqa: PLC0415
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415
        from airflow_jobmon.runtime.report import send_to_channels  # noqa: PLC0415

        where = conninfo(self.conn_id or settings.conn_id)
        return send_to_channels(where, drill_report(result), settings, self.channels).failed
