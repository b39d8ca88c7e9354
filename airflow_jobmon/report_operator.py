"""The operator that makes a report and sends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_jobmon.core.report import Report
    from airflow_jobmon.settings import Settings

REPORTS = ("daily", "weekly")


class JobReportOperator(BaseOperator):
    """Make the morning digest (`daily`) or the weekly review (`weekly`), send it, and return it as XCom.

    :param report: `daily` or `weekly`. Templated.
    :param channels: connection ids of the channels that get it, as a list or comma-separated; [jobmon] channels unless
        given; an empty list sends it nowhere. Templated.
    :param keep_at: directory (a path, or a URI that ObjectStoragePath knows) where the weekly review is kept as a page
        with charts. Templated.
    :param page_url: where that directory can be opened in a browser, so that messages can link to the page; without it
        a message links to it only where `keep_at` itself is an http address. Templated.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.

    The task fails where a channel refuses the report for good or cannot be opened, once all others have it. A channel
    that is down for now gets it later, from whoever delivers alerts.
    """

    template_fields: Sequence[str] = ("report", "channels", "keep_at", "page_url", "conn_id")
    ui_color = "#e4e7fb"

    def __init__(
        self,
        *,
        report: str,
        channels: Iterable[str] | str | None = None,
        keep_at: str | None = None,
        page_url: str | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report = report
        self.channels = channels if channels is None or isinstance(channels, str) else list(channels)
        self.keep_at = keep_at
        self.page_url = page_url
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from airflow_jobmon import settings as configuration  # noqa: PLC0415 - keeps what a DAG file imports light
        from airflow_jobmon.announcing import announce  # noqa: PLC0415
        from airflow_jobmon.connections import conninfo  # noqa: PLC0415

        if self.report not in REPORTS:
            raise AirflowFailException(f"report {self.report!r} is unknown; use {' or '.join(REPORTS)}")
        try:
            settings = configuration.load()
            where = conninfo(self.conn_id or settings.conn_id)
            made = self._make(where, settings)
            told = announce(where, made, settings, self.channels)
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        self.log.info("%s: %s", made.title, made.summary)
        self.log.info("channels: %s", told.states or "none")
        if told.failed:
            raise AirflowFailException("; ".join(f"channel {name}: {why}" for name, why in told.failed.items()))
        return {**made.as_json(), "sent": told.states}

    def _make(self, where: str, settings: Settings) -> Report:
        from airflow_jobmon.announcing import make_report  # noqa: PLC0415

        made = make_report(where, settings, self.report, keep_at=self.keep_at, page_url=self.page_url)
        if made.kept_at:
            self.log.info("kept at %s", made.kept_at)
        return made.report
