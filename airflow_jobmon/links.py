"""The link from a task in Airflow to the page of the job that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class JobPageLink(BaseOperatorLink):
    """To the page of the operator's job; of an operator that looks at all jobs, to the page of all.

    Made while the task runs, so that a templated job_name is rendered by then. It begins with [api] base_url.
    """

    name = "Outside Job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        from airflow.sdk import conf  # noqa: PLC0415 - read at use

        page = f"{(conf.get('api', 'base_url', fallback=None) or '').strip().rstrip('/')}/jobmon/"
        job_name = getattr(operator, "job_name", None)
        return f"{page}?job_name={quote(str(job_name), safe='')}" if job_name else page
