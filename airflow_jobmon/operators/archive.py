"""ArchiveJobsLogOperator: move old runs out of the job log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.errors import JobmonError

if TYPE_CHECKING:
    from airflow.sdk import Context

_MOST_JOBS = 100
"""The XCom names this many jobs, those with the most runs."""


class ArchiveJobsLogOperator(BaseOperator):
    """Move old runs out of the job log, into the table airflow_jobmon.jobs_log_archive or to files.

    :param older_than: the age of a run, counted from its start: a timedelta, or text like `90d` or `P90D`; at least a
        day. Templated.
    :param job_name: only this job's runs. Templated; empty means all jobs, so it may come from an optional Param.
    :param to: the URI of a folder (file://, s3://connection@bucket/..., anything that ObjectStoragePath opens): export
        the runs there instead, as CSV with a manifest; empty means no export. Templated.
    :param dry_run: only count the runs to move. Templated.
    :param conn_id: where the job log lives; default is [jobmon] conn_id.

    If killed or retried, it continues where it stopped. Returns a summary: `runs`, `jobs` (at most 100, with their
    runs), `job_count`, `before`, `refused`, `stay` (in a dry run), `manifest` and `parts` (of an export), `seconds`.
    """

    template_fields: Sequence[str] = ("older_than", "job_name", "to", "count_only", "conn_id")
    ui_color = "#e6e0f3"

    def __init__(
        self,
        *,
        older_than: timedelta | str,
        job_name: str | None = None,
        to: str | None = None,
        dry_run: bool | str = False,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.older_than = older_than
        self.job_name = job_name
        self.to = to
        self.count_only = dry_run  # dry_run is a method of every operator
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        from airflow_jobmon import settings as configuration  # noqa: PLC0415 - keep the import light for DAG files
        from airflow_jobmon.archive.archiving import archive_runs  # noqa: PLC0415
        from airflow_jobmon.postgres.connect import connect  # noqa: PLC0415
        from airflow_jobmon.postgres.migrate import check_schema  # noqa: PLC0415
        from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415
        from airflow_jobmon.runtime.storage import StorageFolder  # noqa: PLC0415

        try:
            settings = configuration.load()
            with connect(conninfo(self.conn_id or settings.conn_id)) as conn:
                check_schema(conn)
                report = archive_runs(
                    conn,
                    self.older_than,
                    job=self.job_name or None,
                    to=self.to or None,
                    open_folder=StorageFolder,
                    dry_run=_boolean(self.count_only),
                    progress=self.log.info,
                )
        except JobmonError as error:
            raise AirflowFailException(str(error)) from None
        for reason, runs in (report.stay | report.refused).items():
            self.log.info("%s older runs stay: %s", runs, reason)
        self.log.info(report.summary)
        return report.as_json(most_jobs=_MOST_JOBS)


def _boolean(given: Any) -> bool:
    """A template turns a Param's boolean into text, unless the DAG renders native objects."""
    if isinstance(given, bool):
        return given
    words = {"true": True, "false": False}
    if str(given).strip().lower() not in words:
        raise AirflowFailException(f"dry_run={str(given)[:60]!r} is neither true nor false")
    return words[str(given).strip().lower()]
