"""The link from a task in Airflow to the page of its job."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class JobPageLink(BaseOperatorLink):
    """Links to the page of the operator's job, or to the page of all jobs if the operator has no job.

    The URL is built while the task runs, after job_name is rendered, and starts with [api] base_url.
    """

    name = "Outside Job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        from airflow.sdk import conf  # noqa: PLC0415 - read at use

        page = f"{(conf.get('api', 'base_url', fallback=None) or '').strip().rstrip('/')}/jobmon/"
        job_name = getattr(operator, "job_name", None)
        return f"{page}?job_name={quote(str(job_name), safe='')}" if job_name else page
