"""DeliverAlertsOperator: send every alert that is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_jobmon.channels import Channel


class DeliverAlertsOperator(BaseOperator):
    """Send every due alert on every channel; the DAG `jobmon_alerts` runs it when an alert is due.

    :param notifiers: notifiers of this package that serve as channels besides the configured ones; each needs a `name`,
        by which alerts address it after the first run of this task.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.

    A channel that fails temporarily does not fail the task: the alert stays in the outbox and is retried. A channel
    that cannot be opened fails the task, after everything else was delivered.
    """

    template_fields: Sequence[str] = ("conn_id",)
    ui_color = "#fde2c8"

    def __init__(self, *, notifiers: Iterable[Any] = (), conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.notifiers = list(notifiers)
        for notifier in self.notifiers:
            if not getattr(notifier, "name", None):
                raise ValueError(f"{type(notifier).__name__} needs name=..., the name of its channel in alerts")
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from airflow_jobmon import settings as configuration  # noqa: PLC0415
        from airflow_jobmon.monitoring.checks import evaluate_events  # noqa: PLC0415
        from airflow_jobmon.postgres.connect import connect  # noqa: PLC0415
        from airflow_jobmon.postgres.migrate import check_schema  # noqa: PLC0415
        from airflow_jobmon.postgres.outbox import register_channels  # noqa: PLC0415
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415
        from airflow_jobmon.runtime.deliver import deliver  # noqa: PLC0415

        try:
            settings = configuration.load()
            given, broken = self._open_notifiers()
            where = conninfo(self.conn_id or settings.conn_id)
            with connect(where) as conn:
                check_schema(conn)
                names = [notifier.name for notifier in self.notifiers]
                register_channels(conn, names, notifiers=names)
                while evaluate_events(conn, settings).events:
                    pass
            report = deliver(where, settings, given)
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        report.unopened.update(broken)
        self.log.info("delivered: %s", report.as_json())
        if report.unopened:
            raise AirflowFailException("; ".join(f"channel {name}: {why}" for name, why in report.unopened.items()))
        return report.as_json()

    def _open_notifiers(self) -> tuple[dict[str, Channel], dict[str, str]]:
        """Channels by name, and errors by name: one that cannot be opened must not stop the others."""
        given: dict[str, Channel] = {}
        broken: dict[str, str] = {}
        for notifier in self.notifiers:
            try:
                given[notifier.name] = notifier.channel
            except JobmonError as error:
                broken[notifier.name] = str(error)
        return given, broken
