"""Makes a report, stores its page, and sends it to the given or configured channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow_jobmon import settings as configuration
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.rendering.messages import is_link
from airflow_jobmon.core.reports.review_page import page_name
from airflow_jobmon.delivery.report_sender import send_report
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema
from airflow_jobmon.reports.audit import audit, drill_targets
from airflow_jobmon.reports.summaries import daily_report, weekly_review
from airflow_jobmon.runtime.connections import conninfo as conninfo_of
from airflow_jobmon.runtime.connections import open_channels
from airflow_jobmon.runtime.storage import audits_directory, keep
from airflow_jobmon.settings import Settings

NO_CHANNEL = (
    "the report was not sent, since no channel is configured; set [jobmon] channels (AIRFLOW__JOBMON__CHANNELS) to "
    "the connection ids of channels, or name channels for this report"
)


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report, and the URI of its page if one was stored."""

    report: Report
    kept_at: str | None = None


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """By channel: `sent`, `open` (will be retried) or `dead`; `failed`: those that will never receive it, and why."""

    states: dict[str, str]
    failed: dict[str, str]

    @property
    def has_no_channel(self) -> bool:
        """No channel was named or configured."""
        return not (self.states or self.failed)


def make_report(
    conninfo: str, settings: Settings, kind: str, *, keep_at: str | None = None, page_url: str | None = None
) -> MadeReport:
    """A `daily` or `weekly` report; the weekly page is stored in the directory `keep_at`.

    page_url: the URL of that directory in a browser.
    Raises ConnectionProblem or SchemaProblem if the log cannot be read, StorageProblem if the page cannot be stored.
    """
    with connect(conninfo) as conn:
        check_schema(conn)
        if kind == "daily":
            return MadeReport(daily_report(conn, settings))
        made = weekly_review(conn, settings)
    if not keep_at:
        return MadeReport(made.report())
    name = page_name(made.at)
    kept_at = keep(keep_at, name, made.page().encode("utf-8", "replace"))
    link = f"{(page_url or keep_at).rstrip('/')}/{name}"
    return MadeReport(made.report(kept_at=link if is_link(link) else None), kept_at)


def make_audit(
    conninfo: str,
    settings: Settings,
    *,
    keep_at: str | None = None,
    job_name: str | None = None,
    archive: Mapping[str, Any] | None,
    drills: Sequence[Sequence[Mapping[str, Any]] | None] | None,
    drilled: bool = True,
    key: str | None = None,
) -> Report:
    """Export every monitoring query to a new directory below `keep_at`, and report on the whole audit.

    key: the key under which the audit will be sent, so that errors found by an earlier try still count as new.
    Raises StorageProblem if the export cannot be stored, UnknownJob for a job that is neither registered nor logged.
    """
    at = datetime.now(UTC)
    directory = f"{(keep_at or audits_directory()).rstrip('/')}/{at:%Y-%m-%dT%H%M%SZ}"
    with connect(conninfo) as conn:
        check_schema(conn)
        return audit(
            conn,
            settings,
            partial(keep, directory),
            job_name=job_name or None,
            archive=archive,
            drills=drills,
            drilled=drilled,
            now=at,
            key=key,
        )


def find_jobs_to_drill(*, job_name: str | None = None, conn_id: str | None = None) -> list[str]:
    """Jobs whose alert drills together reach every channel; `job_name`, if given, is among them."""
    settings = configuration.load()
    with connect(conninfo_of(conn_id or settings.conn_id)) as conn:
        check_schema(conn)
        return drill_targets(conn, settings, job_name or None)


def send_to_channels(
    conninfo: str,
    report: Report,
    settings: Settings,
    channels: Iterable[str] | str | None,
    *,
    key: str | None = None,
) -> ReportDelivery:
    """Send a report to these channels (None: the configured ones); one that cannot be opened does not stop the others.

    key: a channel receives a report with the same key only once.
    """
    if channels is None:
        names = list(settings.channels)
    else:
        listed = channels.split(",") if isinstance(channels, str) else channels
        names = [name.strip() for name in listed if name.strip()]
    opened, problems = open_channels(dict.fromkeys(names))
    sent = send_report(conninfo, report, opened, key=key)
    return ReportDelivery({message.channel: message.state for message in sent.messages}, {**problems, **sent.failed})
