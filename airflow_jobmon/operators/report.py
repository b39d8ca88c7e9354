"""JobReportOperator: make a report and send it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_jobmon.core.model.report import Report
    from airflow_jobmon.settings import Settings

REPORTS = ("daily", "weekly", "audit")


class JobReportOperator(BaseOperator):
    """Make the morning digest (`daily`), the weekly review (`weekly`) or the audit's report (`audit`) and send it.

    :param report: `daily`, `weekly` or `audit`. Templated.
    :param channels: connection ids of the channels that receive it, as a list or comma-separated; default is [jobmon]
        channels; an empty list sends it to none. Templated.
    :param keep_at: directory (a path, or a URI that ObjectStoragePath knows) where the weekly review is kept as a page
        with charts, and the audit's export; an audit without one keeps it in AIRFLOW_HOME/jobmon-audits. Templated.
    :param page_url: the URL of that directory in a browser, so that messages can link to the page; without it a message
        links to the page only if `keep_at` itself is an HTTP address. Templated.
    :param job_name: of an audit: export and report this job only; empty means all. Templated.
    :param archive: of an audit: what ArchiveJobsLogOperator returned, as `archive.output`.
    :param drills: of an audit: what each AlertDrillOperator returned, a list of them.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.

    Returns the report's figures, below 200 kB for any number of jobs.

    If the archive or a drill of an audit did not finish or pass, the audit is sent and then the task fails. A channel
    that refuses the report for good or cannot be opened fails the task too, after all others received it. A channel
    that is down temporarily receives it later, with the alerts. A retried or cleared task sends only to channels that
    have not received the report from this DAG run.
    """

    template_fields: Sequence[str] = (
        "report",
        "channels",
        "keep_at",
        "page_url",
        "job_name",
        "archive",
        "drills",
        "conn_id",
    )
    ui_color = "#e4e7fb"

    def __init__(
        self,
        *,
        report: str,
        channels: Iterable[str] | str | None = None,
        keep_at: str | None = None,
        page_url: str | None = None,
        job_name: str | None = None,
        archive: Any = None,
        drills: Any = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report = report
        self.channels = channels if channels is None or isinstance(channels, str) else list(channels)
        self.keep_at = keep_at
        self.page_url = page_url
        self.job_name = job_name
        self.archive = archive
        self.drills = drills
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_jobmon import settings as configuration  # noqa: PLC0415 - keep the import light for DAG files
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415
        from airflow_jobmon.runtime.report import NO_CHANNEL, send_to_channels  # noqa: PLC0415

        if self.report not in REPORTS:
            raise AirflowFailException(f"report {self.report!r} is unknown; use one of {', '.join(REPORTS)}")
        try:
            settings = configuration.load()
            where = conninfo(self.conn_id or settings.conn_id)
            key = _key(context)
            made = self._make(where, settings, key)
            delivery = send_to_channels(where, made, settings, self.channels, key=key)
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        self.log.info("%s: %s", made.title, made.summary)
        if delivery.has_no_channel and self.channels is None:
            self.log.warning(NO_CHANNEL)
        else:
            self.log.info("channels: %s", delivery.states or "none")
        done = {**made.as_short_json(), "sent": delivery.states}
        problems = [f"channel {name}: {why}" for name, why in delivery.failed.items()]
        problems += made.details.get("problems", [])
        if problems:
            context["ti"].xcom_push(key="return_value", value=done)
            raise AirflowFailException("; ".join(problems))
        return done

    def _make(self, where: str, settings: Settings, key: str) -> Report:
        from airflow_jobmon.runtime.report import make_audit, make_report  # noqa: PLC0415

        if self.report == "audit":
            drills = None if self.drills is None else list(self.drills)  # of a mapped task: a lazy sequence
            return make_audit(
                where,
                settings,
                keep_at=self.keep_at,
                job_name=self.job_name,
                archive=self.archive,
                drills=drills,
                key=key,
            )
        made = make_report(where, settings, self.report, keep_at=self.keep_at, page_url=self.page_url)
        if made.kept_at:
            self.log.info("kept at %s", made.kept_at)
        return made.report


def _key(context: Context) -> str:
    """The same in all tries of a task, and different for any other."""
    task = context["ti"]
    return json.dumps([task.dag_id, task.run_id, task.task_id, task.map_index])
