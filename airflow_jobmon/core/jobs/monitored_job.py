"""MonitoredJob, a registry entry: what a team expects of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from airflow_jobmon.core.jobs.field_types import (
    Allowance,
    ChannelNames,
    Cron,
    Duration,
    Name,
    Sentence,
    Url,
    Words,
    Zone,
)
from airflow_jobmon.core.schedule.cron_slots import earliness, first_slot_after, latest_slot_at_or_before
from airflow_jobmon.errors import ConfigurationError


class MonitoredJob(BaseModel):
    """The expectations of one job. Durations are timedeltas or text such as `90s`, `1h`, `2d`, `PT1H`.

    Give either `schedule` (cron, read in `timezone`) or `every`; neither means every 24 h.
    Raises ConfigurationError with every mistake: the job, the field, what is wrong, and how to fix it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Name = Field(description="The job_name its runs are logged under.", examples=["nightly-invoices"])
    schedule: Cron | None = Field(
        default=None,
        description="Cron expression of when a run should start: five fields, read in `timezone`.",
        examples=["0 2 * * *", "*/15 8-18 * * 1-5"],
    )
    timezone: Zone = Field(
        default="UTC", description="IANA zone the schedule is read in.", examples=["UTC", "Europe/Berlin"]
    )
    every: Duration = Field(default=timedelta(hours=24), description="Time between starts, without a schedule.")
    grace: Allowance = Field(default=timedelta(hours=1), description="How late a run may start before it is missed.")
    early: Allowance = Field(
        default=timedelta(minutes=5),
        description="A run that starts this much before a slot counts for that slot; at most half the gap between two.",
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="A run that takes longer than this is stuck.")
    max_duration: Duration = Field(default=timedelta(seconds=60), description="A success that took longer is slow.")
    min_success_rate: float = Field(default=95.0, ge=0, le=100, description="Percent; a lower rate is a warning.")
    target_success_rate: float = Field(
        default=98.0, ge=0, le=100, description="Percent; a falling success rate is reported only below this."
    )
    window_days: int = Field(default=30, ge=1, le=400, description="Days over which the success rate is computed.")
    failures_to_alert: int = Field(default=1, ge=1, le=1000, description="Failures in a row before they are critical.")
    zero_records_days: int = Field(
        default=3,
        ge=0,
        le=400,
        description="Days in a row without records before it is a finding; 0 = never.",
    )
    realert_interval: Duration | None = Field(
        default=None, description="How long until a critical alert is repeated; overrides [jobmon] realert_interval."
    )
    channels: ChannelNames | None = Field(
        default=None,
        description="Airflow connections to notify; overrides [jobmon] channels. An empty list notifies no one.",
        examples=[["slack_ops", "mail_oncall"]],
    )
    tags: Words = Field(default=(), description="Free-form labels to group jobs.", examples=[["billing", "nightly"]])
    owner: Sentence | None = Field(default=None, description="Who is responsible for it.", examples=["payments team"])
    logs_url: Url | None = Field(default=None, description="Link of View Logs; default is the job's page.")
    runbook_url: Url | None = Field(
        default=None, description="Link of Runbook.", examples=["https://wiki.example.com/runbooks/invoices"]
    )
    enabled: bool = Field(default=True, description="False: not evaluated, and no alerts.")

    @model_validator(mode="after")
    def _schedule_is_one_of_two(self) -> Self:
        if self.schedule is not None and "every" in self.model_fields_set:
            raise ValueError("schedule and every are both set; keep one of them")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _describe_mistakes(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            from airflow_jobmon.core.jobs.validation_errors import describe_mistakes  # noqa: PLC0415 - only for a mistake

            mistakes = error.errors(include_url=False)
            raise ConfigurationError(describe_mistakes(given, mistakes, cls.model_fields)) from None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def earliness(self) -> timedelta:
        """`early`, limited to half the gap between slots, so that a run never counts for two of them."""
        return min(self.early, self.every / 2) if self.schedule is None else earliness(self.schedule, self.early)

    def expected_after(self, last_start: datetime) -> datetime:
        """When the next run should start, in UTC, given the start of the last one."""
        if self.schedule is None:
            return last_start.astimezone(UTC) + self.every
        return first_slot_after(self.schedule, self.timezone, last_start + self.earliness)

    def due_after(self, last_start: datetime) -> datetime:
        """The moment after which the next run counts as missed, in UTC, grace included.

        Slots are computed in the job's zone; grace is added in UTC, so a clock change never shortens it.
        """
        return self.expected_after(last_start) + self.grace

    def latest_slot(self, at: datetime) -> datetime:
        """The newest slot at or before `at`, in UTC; without a schedule, `at - every`."""
        if self.schedule is None:
            return at.astimezone(UTC) - self.every
        return latest_slot_at_or_before(self.schedule, self.timezone, at)


def job_by_defaults(name: str) -> MonitoredJob:
    """The defaults, for an unregistered job; the log may hold names that the registry would refuse."""
    return MonitoredJob.model_construct(name=name)


def read_job(fields: dict[str, Any]) -> MonitoredJob:
    """Read a MonitoredJob from a mapping; raises as MonitoredJob does."""
    return MonitoredJob.model_validate(fields)
